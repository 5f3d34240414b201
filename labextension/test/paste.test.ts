import { expect, test } from 'vitest';

import { parsePasted } from '../src/form/paste';

test.each([
  [
    'postgresql://app:s%40cret@db.internal:5433/sales?sslmode=verify-full',
    { host: 'db.internal', port: 5433, database: 'sales', user: 'app', sslmode: 'verify-full' },
    { password: 's@cret' }
  ],
  ['postgres://db.internal/sales', { host: 'db.internal', database: 'sales' }, {}],
  ['postgresql+psycopg://app@db:80/x', { host: 'db', port: 80, database: 'x', user: 'app' }, {}],
  ['postgresql://[::1]:5432/x', { host: '::1', port: 5432, database: 'x' }, {}],
  ['postgresql:///x?host=/tmp&user=me', { host: '/tmp', database: 'x', user: 'me' }, {}],
  ["DATABASE_URL='postgres://a:b@h/d'", { host: 'h', database: 'd', user: 'a' }, { password: 'b' }],
  ['psql -h db.internal -p 5433 -U app -d sales', { host: 'db.internal', port: 5433, database: 'sales', user: 'app' }, {}],
  ['psql -hdb -Uapp sales', { host: 'db', database: 'sales', user: 'app' }, {}],
  ['$ psql --host=db --username=app --dbname=sales', { host: 'db', database: 'sales', user: 'app' }, {}],
  ['psql "host=db user=app password=\'a b\' dbname=sales"', { host: 'db', database: 'sales', user: 'app' }, { password: 'a b' }],
  ['psql postgresql://app:pw@db/sales', { host: 'db', database: 'sales', user: 'app' }, { password: 'pw' }],
  ['host=db port=5432 dbname=sales', { host: 'db', port: 5432, database: 'sales' }, {}]
])('%j fills a PostgreSQL form', (text, fields, secrets) => {
  expect(parsePasted(text)).toEqual({ providerId: 'postgresql', fields, secrets });
});

test.each([
  ['https://api.example.com/v1/', { base_url: 'https://api.example.com/v1' }, {}],
  [
    'https://me:pw@api.example.com/v1',
    { base_url: 'https://api.example.com/v1', username: 'me', auth: 'basic' },
    { password: 'pw' }
  ],
  ['http://localhost:8000', { base_url: 'http://localhost:8000', allow_http: true }, {}]
])('%j fills an HTTP form', (text, fields, secrets) => {
  expect(parsePasted(text)).toEqual({ providerId: 'http', fields, secrets });
});

test.each(['', 'warehouse', 'mysql://x', 'select * from users', 'psql', 'postgresql://', 'ftp://x/y', 'https://'])(
  '%j is nothing that is known here',
  text => {
    expect(parsePasted(text)).toBeNull();
  }
);

test('a password is never among the fields', () => {
  for (const text of ['postgresql://a:hunter2@h/d', 'psql "password=hunter2 host=h"', 'https://a:hunter2@h/']) {
    expect(JSON.stringify(parsePasted(text)?.fields)).not.toContain('hunter2');
  }
});
