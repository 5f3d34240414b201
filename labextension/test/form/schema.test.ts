import { describe, expect, test } from 'vitest';

import { destinationChanged, formSchema, readPrefill, requiredSecrets, SECRET_WIDGET } from '../../src/form/schema';
import { catalogue } from '../support/catalogue';
import { connectionView, provider } from '../support/records';

describe('the schema of a form', () => {
  const made = formSchema(provider());

  test('requires no secret, in no branch', () => {
    expect(made.schema.required).toEqual(['host', 'port', 'database', 'sslmode']);
    expect(JSON.stringify(made.schema.allOf)).not.toContain('required":["key');
  });

  test('knows the secrets and the destination, conditional ones too', () => {
    expect(made.secrets).toEqual(['password', 'key']);
    expect(made.destination).toEqual(['host', 'port', 'sslmode']);
  });

  test('draws secrets with their own widget and keeps the order', () => {
    expect(made.uiSchema.password?.['ui:widget']).toBe(SECRET_WIDGET);
    expect(made.uiSchema.key?.['ui:widget']).toBe(SECRET_WIDGET);
    expect(made.uiSchema['ui:order']).toEqual(['host', 'port', 'database', 'password', 'sslmode', 'key', '*']);
  });
});

test('a conditional secret is asked for only while its condition holds', () => {
  expect(requiredSecrets(provider(), { sslmode: 'require' })).toEqual(['password']);
  expect(requiredSecrets(provider(), { sslmode: 'verify-full' })).toEqual(['password', 'key']);
  expect(requiredSecrets(provider(), {})).toEqual(['password']);
});

test.each([
  ['postgresql', { host: 'db' }, ['password']],
  ['postgresql', {}, ['password']],
  ['postgresql', { host: '/var/run/postgresql' }, []],
  ['postgresql', { host: '/var/run/postgresql,db' }, ['password']],
  ['mysql', { host: '/run/mysqld/mysqld.sock' }, []]
])('%s with %j needs %j', (kind, data, secrets) => {
  expect(requiredSecrets(catalogue(kind), data)).toEqual(secrets);
  expect(JSON.stringify(formSchema(catalogue(kind)).schema)).not.toContain('required":["password');
});

test.each([
  [{}, false],
  [{ database: 'other' }, false],
  [{ host: 'elsewhere' }, true],
  [{ port: 5433 }, true],
  [{ sslmode: 'verify-full' }, true],
  [{ host: undefined }, true]
])('with %j the destination has changed: %s', (change, changed) => {
  const stored = connectionView().connection.fields ?? {};
  expect(destinationChanged(stored, { ...stored, ...change }, ['host', 'port', 'sslmode'])).toBe(changed);
});

test.each([
  [{ host: 'db' }, { host: 'db' }],
  [{ port: '5433' }, { port: 5433 }],
  [{ port: 'abc' }, { port: 'abc' }],
  [{ database: 7 }, { database: '7' }],
  [{ password: 'hunter2', key: 'k' }, {}],
  [{ unknown: 'x' }, {}],
  [{ host: { toString: 'x' } }, {}],
  [undefined, {}]
])('of %j a form is prefilled with %j', (given, read) => {
  expect(readPrefill(provider(), given)).toEqual(read);
});
