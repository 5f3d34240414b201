import { expect, test } from 'vitest';

import { mayHoldPassword, parsePasted, PASTEABLE } from '../../src/form/paste';
import { propertiesOf } from '../../src/form/schema';
import { catalogue } from '../support/catalogue';

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
  ['postgresql://%2Fcloudsql%2Fp%3Ar%3Ai/x', { host: '/cloudsql/p:r:i', database: 'x' }, {}],
  [
    'postgresql://app:pw@db1:5433,db2,[::1]:5434/x?target_session_attrs=read-write',
    { host: 'db1:5433,db2,[::1]:5434', database: 'x', user: 'app', target_session_attrs: 'read-write' },
    { password: 'pw' }
  ],
  ['postgresql://db1,db2/x?port=5433', { host: 'db1,db2', port: 5433, database: 'x' }, {}],
  ['host=db1,/run/pg port=1,2 dbname=x', { host: 'db1:1,/run/pg', database: 'x' }, {}],
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

test.each([
  [
    'mysql://app:s%40cret@db.internal:3307/sales?ssl-mode=VERIFY_IDENTITY',
    'mysql',
    { host: 'db.internal', port: 3307, database: 'sales', user: 'app', sslmode: 'verify-full' },
    { password: 's@cret' }
  ],
  ['mysql+pymysql://app@localhost/x?unix_socket=/run/s.sock', 'mysql', { host: '/run/s.sock', database: 'x', user: 'app' }, {}],
  ['mysql+pymysql://app@db/sales', 'mysql', { host: 'db', database: 'sales', user: 'app' }, {}],
  ['mariadb://app:pw@db/sales?ssl_mode=odd', 'mysql', { host: 'db', database: 'sales', user: 'app' }, { password: 'pw' }],
  ['MYSQL_URL=mysql://db', 'mysql', { host: 'db' }, {}],
  ['redis://localhost:6380/2', 'redis', { host: 'localhost', port: 6380, database: '2', sslmode: 'disable' }, {}],
  ['redis://:pw@cache?db=3', 'redis', { host: 'cache', database: '3', sslmode: 'disable' }, { password: 'pw' }],
  ['rediss://me:p%3Aw@cache.internal', 'redis', { host: 'cache.internal', user: 'me', sslmode: 'verify-full' }, { password: 'p:w' }],
  ['REDIS_URL="rediss://[::1]:6379/0"', 'redis', { host: '::1', port: 6379, database: '0', sslmode: 'verify-full' }, {}],
  ['valkeys://cache', 'redis', { host: 'cache', sslmode: 'verify-full' }, {}]
])('%j is taken apart', (text, providerId, fields, secrets) => {
  expect(parsePasted(text)).toEqual({ providerId, fields, secrets });
});

test.each([...PASTEABLE])('what a URL of %s looks like is known, and names its fields as its kind does', (providerId, example) => {
  const pasted = parsePasted(example);
  expect(pasted?.providerId).toBe(providerId);
  expect(Object.keys(propertiesOf(catalogue(providerId).fields))).toEqual(expect.arrayContaining(Object.keys(pasted!.fields)));
});

test.each([
  ['mongodb://app:pw@db/sales', true],
  ['mongodb+srv://app:p@ss/w:rd@db', true],
  ['amqp://:pw@mq', true],
  ['see ftp://a:b@c', true],
  ['curl -u me:pw https://api.example.com', true],
  ['$ curl https://api.example.com', true],
  ['mongodb://db:27017/sales', false],
  ['mongodb://app@db', false],
  ['curl', false],
  ['me:pw@db', false],
  ['', false]
])('%j may hold a password: %s', (text, may) => {
  expect(mayHoldPassword(text)).toBe(may);
});

test.each(['', 'warehouse', 'mysql://', 'redis://', 'sslmode=require', 'mongodb://a:b@c', 'select * from users', 'psql', 'postgresql://', 'ftp://x/y', 'https://'])(
  '%j is nothing that is known here',
  text => {
    expect(parsePasted(text)).toBeNull();
  }
);

test('a password is never among the fields', () => {
  for (const text of ['postgresql://a:hunter2@h/d', 'mysql://a:hunter2@h/d', 'redis://:hunter2@h', 'psql "password=hunter2 host=h"', 'https://a:hunter2@h/']) {
    expect(JSON.stringify(parsePasted(text)?.fields)).not.toContain('hunter2');
  }
});
