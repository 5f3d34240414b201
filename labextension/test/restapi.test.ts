import { ServerConnection } from '@jupyterlab/services';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { Requester } from '../src/restapi';
import { RestApi } from '../src/restapi';
import { ProblemError } from '../src/errors';
import { connectionView, proposal, T0, vaultState } from './support/records';

// As on an origin that is not secure: everything is sent as it is. What is sealed: sealedRequests.test.ts.
beforeEach(() => void vi.stubGlobal('crypto', {}));
afterEach(() => void vi.unstubAllGlobals());

interface Sent {
  url: string;
  method: string;
  headers: Record<string, string>;
  body: unknown;
}

function api(status: number, answer: unknown): { api: RestApi; sent: Sent[] } {
  const sent: Sent[] = [];
  const request = (async (url: string, init: RequestInit) => {
    sent.push({
      url,
      method: init.method ?? '',
      headers: init.headers as Record<string, string>,
      body: init.body ? JSON.parse(String(init.body)) : undefined
    });
    const text = typeof answer === 'string' ? answer : JSON.stringify(answer);
    return new Response(status === 204 ? null : text, { status });
  }) as unknown as Requester;
  const settings = ServerConnection.makeSettings({ baseUrl: 'http://server/user/me/' });
  return { api: new RestApi(settings, request), sent };
}

const outcome = { ok: true, at: T0, code: null, detail: 'd', elapsed_ms: 3, server: '' };

test.each([
  ['listConnections', (it: RestApi) => it.listConnections(), 'GET', 'connections', undefined, { connections: [] }],
  ['getConnection', (it: RestApi) => it.getConnection('c 1/2'), 'GET', 'connections/c%201%2F2', undefined, connectionView()],
  [
    'createConnection',
    (it: RestApi) => it.createConnection({ provider_id: 'p', name: 'n', secrets: { password: { value: 's' } } }),
    'POST',
    'connections',
    { provider_id: 'p', name: 'n', secrets: { password: { value: 's' } } },
    connectionView()
  ],
  [
    'setSecret',
    (it: RestApi) => it.setSecret('c1', 'password', { value: 's', revision: 3 }),
    'PUT',
    'connections/c1/secrets/password',
    { value: 's', revision: 3 },
    connectionView()
  ],
  ['testConnection', (it: RestApi) => it.testConnection('c1'), 'POST', 'connections/c1/test', {}, outcome],
  ['listGrants', (it: RestApi) => it.listGrants('c1'), 'GET', 'grants?connection_id=c1', undefined, { grants: [] }],
  ['listGrants of all', (it: RestApi) => it.listGrants(), 'GET', 'grants', undefined, { grants: [] }],
  [
    'listAudit',
    (it: RestApi) => it.listAudit({ connectionId: 'c1', before: 7, limit: 50 }),
    'GET',
    'audit?connection_id=c1&before=7&limit=50',
    undefined,
    { events: [], next_before: null }
  ],
  [
    'exportAudit',
    (it: RestApi) => it.exportAudit('csv', { connectionId: 'c1', last: 9, after: 4 }),
    'GET',
    'audit/export?format=csv&connection_id=c1&last=9&after=4',
    undefined,
    { text: 'a\n', last: 9, next_after: null }
  ],
  [
    'getProposal',
    (it: RestApi) => it.getProposal('p 1/2'),
    'GET',
    'proposals/p%201%2F2',
    undefined,
    proposal()
  ],
  [
    'decide',
    (it: RestApi) => it.decide('q1', 'once', 'd'),
    'POST',
    'access-requests/q1/decision',
    { decision: 'once', digest: 'd' },
    { id: 'q1', decision: 'once' }
  ],
  [
    'decide for a while',
    (it: RestApi) => it.decide('q1', 'for', 'd', 28800),
    'POST',
    'access-requests/q1/decision',
    { decision: 'for', digest: 'd', seconds: 28800 },
    { id: 'q1', decision: 'for' }
  ],
  ['unlockVault', (it: RestApi) => it.unlockVault('p'), 'POST', 'vault/unlock', { passphrase: 'p' }, vaultState()],
  ['lockVault', (it: RestApi) => it.lockVault(), 'POST', 'vault/lock', {}, vaultState()]
] as const)('%s is one request', async (_, call, method, path, body, answer) => {
  const { api: it, sent } = api(200, answer);
  await call(it);
  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject({ url: `http://server/user/me/connvault/api/v1/${path}`, method });
  expect(sent[0].body).toEqual(body);
});

test.each([
  ['updateConnection', (it: RestApi) => it.updateConnection('c1', 3, { name: 'n' }), connectionView(), 200],
  ['deleteConnection', (it: RestApi) => it.deleteConnection('c1', 3), '', 204]
] as const)('%s says which revision it saw', async (_, call, answer, status) => {
  const { api: it, sent } = api(status, answer);
  await call(it);
  expect(sent[0].headers['If-Match']).toBe('"3"');
});

test('a Problem becomes a typed error with its fields', async () => {
  const { api: it } = api(422, {
    type: 'about:blank',
    title: 'InvalidFields',
    status: 422,
    code: 'invalid_fields',
    detail: 'Some fields are not valid. See the message at each field.',
    errors: [{ path: 'fields.host', message: 'is missing' }],
    details: {}
  });
  const error = await it.listConnections().catch((found: unknown) => found);
  expect(error).toBeInstanceOf(ProblemError);
  expect(error).toMatchObject({
    code: 'invalid_fields',
    status: 422,
    errors: [{ path: 'fields.host', message: 'is missing' }]
  });
});

test.each([401, 403, 404, 500, 502])('a %d without a Problem says what to do and quotes nothing', async status => {
  const { api: it } = api(status, '<html>secret-looking body</html>');
  const error = (await it.listConnections().catch((found: unknown) => found)) as ProblemError;
  expect(error.code).toBe('http_error');
  expect(error.detail).not.toContain('secret-looking');
  expect(error.detail).toMatch(/\.$|\?$/);
});

test('a server that does not answer is a typed error that does not quote the request', async () => {
  const request = (() => Promise.reject(new TypeError('failed: body hunter2'))) as unknown as Requester;
  const it = new RestApi(ServerConnection.makeSettings({ baseUrl: 'http://server/' }), request);
  const error = (await it.setSecret('c1', 'password', { value: 'hunter2' }).catch((found: unknown) => found)) as ProblemError;
  expect(error.code).toBe('server_unreachable');
  expect(JSON.stringify(error) + error.message + error.stack).not.toContain('hunter2');
});
