import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { ContractError } from '../src/decoders';
import * as validate from '../src/validate';
import { auditEvent, connectionView, grantView, proposal, provider, question, vaultState } from './support/records';

// What does not belong there, whatever the field is.
const WRONG = [undefined, null, 7, 'text', [], {}, true];

beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
});
afterEach(() => vi.restoreAllMocks());

/** Each required field gone, then each of another type than it has. */
function malformed(record: object): [what: string, value: unknown][] {
  const found: [string, unknown][] = [];
  for (const [name, value] of Object.entries(record)) {
    for (const wrong of WRONG) {
      if (typeof wrong === typeof value && Array.isArray(wrong) === Array.isArray(value) && (wrong === null) === (value === null)) {
        continue;
      }
      found.push([`${name} = ${JSON.stringify(wrong) ?? 'missing'}`, { ...record, [name]: wrong }]);
    }
  }
  return found;
}

describe('a question', () => {
  const optional = ['agent', 'preselected', 'claims_hidden'];
  const cases = malformed(question()).filter(([what]) => !(optional.some(name => what.startsWith(name)) && /null|missing|text/.test(what)));

  test.each(cases)('with %s is refused, and the others stay', (_, bad) => {
    const found = validate.questionList({ access_requests: [question({ id: 'good' }), bad] });
    expect(found.items.map(item => item.id)).toEqual(['good']);
    expect(found.unreadable).toHaveLength(1);
  });

  test.each([
    ['a mode of a newer server', { mode: 'teleported' }],
    ['a duration of a newer server', { durations: ['once', 'forever'] }],
    ['a requester of an unknown kind', { requester: { ...question().requester, kind: 'ghost' } }],
    ['reasons that are no text', { reasons: [1] }],
    ['no time', { expires_at: 'soon' }],
    ['a clock that is not finite', { remaining_ms: Infinity }]
  ])('with %s is refused', (_, change) => {
    const found = validate.questionList({ access_requests: [{ ...question(), ...change }] });
    expect(found.items).toEqual([]);
    expect(found.unreadable).toEqual([{ id: 'q1', digest: 'a'.repeat(64) }]);
  });

  test('with an unknown field is read without it', () => {
    const found = validate.questionList({ access_requests: [{ ...question(), surprise: 1 }] });
    expect(found.items).toEqual([question()]);
  });

  test.each([[null], ['text'], [7], [[]]])('that is %j counts as unreadable', bad => {
    const found = validate.questionList({ access_requests: [bad] });
    expect(found.unreadable).toEqual([{ id: '', digest: '' }]);
  });
});

describe('lists', () => {
  test.each([[null], [undefined], ['text'], [{}], [{ connections: {} }], [[]]])('%j is no list of connections', value => {
    expect(() => validate.connectionList(value)).toThrow(ContractError);
  });

  test('one bad connection does not take the others down', () => {
    const bad = { ...connectionView(), connection: { ...connectionView().connection, status: 'odd' } };
    expect(validate.connectionList({ connections: [bad, connectionView()] })).toEqual({
      items: [connectionView()],
      unreadable: 1
    });
  });

  test('one bad grant does not take the others down', () => {
    expect(validate.grantList({ grants: [{}, grantView()] })).toEqual({ items: [grantView()], unreadable: 1 });
  });

  test('a provider without deliveries is left out and counted', () => {
    const bad = { ...provider(), deliveries: undefined };
    const found = validate.providerList({ providers: [bad, provider()], skipped: [{ source: 's', reason: 'r' }, {}] });
    expect(found.providers.map(item => item.id)).toEqual(['postgresql']);
    expect(found.unreadable).toBe(1);
    expect(found.skipped).toEqual([{ source: 's', reason: 'r' }]);
  });

  test.each([
    [true, true],
    [false, false],
    // An older server does not say it.
    [undefined, true]
  ])('whether plain text may be asked for at all is taken as it is told: %s', (told, expected) => {
    expect(validate.providerList({ providers: [], skipped: [], reveal_allowed: told }).reveal_allowed).toBe(expected);
  });

  test('a provider of an older server has no relay, and one of a newer may speak another protocol', () => {
    const old = { ...provider(), id: 'old', deliveries: [{ kind: 'login', mode: 'in_clear', client: 'http', openers: ['session'] }] };
    const next = { ...provider(), id: 'next', deliveries: [{ ...provider().deliveries[0], protocol: 'gopher' }] };
    const { providers, unreadable } = validate.providerList({ providers: [old, next], skipped: [] });
    expect(unreadable).toBe(0);
    expect(providers[0].deliveries[0]).toEqual({ ...old.deliveries[0], protocol: null, recipe: {}, variables: {}, tcp_variables: {} });
    expect(providers[1].deliveries[0].protocol).toBe('gopher');
  });

  test('an event of a type that is not known here is still a row', () => {
    const row = { ...auditEvent(), type: 'access:dreamt' };
    expect(validate.auditPage({ events: [row, 7], next_before: null }).events).toEqual([row]);
  });
});

describe('a connection', () => {
  test.each(malformed({ id: 'c1', provider_id: 'p', name: 'n', status: 'ready', created_at: 'x', updated_at: 'x' }))(
    'with %s is refused',
    (_, change) => {
      const view = { ...connectionView(), connection: { ...connectionView().connection, ...(change as object) } };
      expect(() => validate.connectionView(view)).toThrow(ContractError);
    }
  );

  test('with a field that is an object is refused', () => {
    const view = connectionView({ fields: { host: { evil: true } } as never });
    expect(() => validate.connectionView(view)).toThrow(/fields\.host/);
  });

  test('of an older server may be asked for plain text, and logs in', () => {
    const connection = { ...connectionView().connection, reveal_allowed: undefined };
    const view = { ...connectionView(), delivery: undefined };
    expect(validate.connectionView({ ...view, connection })).toEqual({ ...connectionView(), delivery: 'login' });
  });

  test('by a delivery of a newer server is refused', () => {
    expect(() => validate.connectionView({ ...connectionView(), delivery: 'teleport' })).toThrow(ContractError);
  });

  test('fields that may be left out get their default', () => {
    const { connection, destination } = connectionView();
    const rest = { ...connection, display_name: undefined, scope: undefined, status_reason: undefined };
    const read = validate.connectionView({ connection: rest, destination });
    expect(read).toMatchObject({ secrets: {}, modes: [], last_test: null, connection: { scope: 'user', display_name: '' } });
  });
});

test('the message of an error names the place and quotes nothing', () => {
  const view = connectionView({ name: 7 as never, fields: { host: 'hunter2' } });
  expect(() => validate.connectionView(view)).toThrow("connection.name must be text");
  try {
    validate.connectionView(view);
  } catch (error) {
    expect(String(error)).not.toContain('hunter2');
  }
});

test('the state of the vault is read', () => {
  expect(validate.vaultState(vaultState())).toEqual(vaultState());
  expect(() => validate.vaultState({ ...vaultState(), state: 'ajar' })).toThrow(ContractError);
});

test.each([[null], ['<html>'], [{ code: 7 }], [{ code: 'x', detail: 'y' }]])('%j is no Problem', body => {
  expect(validate.problem(body)).toBeNull();
});

test('a Problem without errors has none', () => {
  expect(validate.problem({ code: 'x', detail: 'd', title: 'X', status: 400 })?.errors).toEqual([]);
});

test.each([[{ event: 'bake:cake', id: null }], [{}], [null], [{ event: 'vault:changed', id: 7 }]])('%j is no event', value => {
  expect(() => validate.event(value)).toThrow(ContractError);
});

describe('a suggestion', () => {
  const optional = ['provider_id', 'name', 'fields'];
  const cases = malformed(proposal()).filter(
    ([what]) => !(optional.some(name => what.startsWith(name)) && /null|missing|text|\{\}/.test(what))
  );

  test.each(cases)('with %s is refused', (_, bad) => {
    expect(() => validate.proposal(bad)).toThrow(ContractError);
  });

  test.each([{ fields: { host: ['a'] } }, { fields: { host: { a: 1 } } }])('with %j is refused', change => {
    expect(() => validate.proposal({ ...proposal(), ...change })).toThrow(ContractError);
  });

  test('with unknown fields is read without them', () => {
    expect(validate.proposal({ ...proposal(), secrets: { password: 'x' } })).toEqual(proposal());
  });
});
