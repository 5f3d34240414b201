// @vitest-environment node
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from '@hpke/core';
import { ServerConnection } from '@jupyterlab/services';
import { afterEach, expect, test, vi } from 'vitest';

import type { OperationName, SealedText, SealingKey } from '../src/contracts';
import { OPERATIONS, SEALABLE } from '../src/contracts';
import type { Requester } from '../src/restapi';
import { RestApi } from '../src/restapi';
import { ProblemError } from '../src/errors';
import { SEALING_INFO } from '../src/sealing';
import { connectionView, slotList, vaultState } from './support/records';
import { exportedConnections, importPreview } from './support/transferRecords';

const CANARY = 'hunter2-canary';
const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

interface Sent {
  path: string;
  body: string;
}

/** A server whose broker changes its key at each start. */
class FakeServer {
  readonly sent: Sent[] = [];
  /** Answers in turn to what is no question for the key; the last one stays. */
  answers: { status: number; body: unknown }[] = [{ status: 200, body: vaultState() }];
  key: SealingKey = { key_id: '', suite: 'hpke-p256-sha256-aes256gcm', public_key: '' };

  async start(): Promise<this> {
    this._pair = await suite.kem.generateKeyPair();
    const point = await suite.kem.serializePublicKey(this._pair.publicKey);
    this._starts++;
    this.key = { ...this.key, key_id: `key-${this._starts}`, public_key: Buffer.from(point).toString('base64') };
    return this;
  }

  readonly request = (async (url: string, init: RequestInit) => {
    const path = new URL(url).pathname.replace('/connvault/api/v1', '');
    this.sent.push({ path, body: typeof init.body === 'string' ? init.body : '' });
    if (path === '/vault/sealing-key') {
      return new Response(JSON.stringify(this.key));
    }
    const answer = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    return new Response(JSON.stringify(answer?.body), { status: answer?.status });
  }) as unknown as Requester;

  api(): RestApi {
    return new RestApi(ServerConnection.makeSettings({ baseUrl: 'http://server/' }), this.request);
  }

  asked(): string[] {
    return this.sent.map(({ path }) => path);
  }

  async opened(sent: Sent, operation: OperationName): Promise<unknown> {
    const { sealed } = JSON.parse(sent.body) as { sealed: SealedText };
    expect(sealed.key_id).toBe(this.key.key_id);
    const raw = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'base64'));
    const recipient = await suite.createRecipientContext({
      recipientKey: this._pair!.privateKey,
      enc: raw(sealed.enc),
      info: new TextEncoder().encode(SEALING_INFO + operation)
    });
    return JSON.parse(new TextDecoder().decode(await recipient.open(raw(sealed.ciphertext))));
  }

  private _pair: CryptoKeyPair | null = null;
  private _starts = 0;
}

const changed = { status: 409, body: { code: 'sealing_key_changed', detail: 'd', title: 't' } };

afterEach(() => void vi.unstubAllGlobals());

const secrets = { password: { value: CANARY } };

const CALLS: [OperationName, (it: RestApi) => Promise<unknown>, object, unknown][] = [
  [
    'connections.create',
    it => it.createConnection({ provider_id: 'p', name: 'n', secrets }),
    { provider_id: 'p', name: 'n', secrets },
    connectionView()
  ],
  [
    'connections.update',
    it => it.updateConnection('c1', 3, { fields: { port: 5432 }, secrets }),
    { id: 'c1', revision: 3, fields: { port: 5432 }, secrets },
    connectionView()
  ],
  [
    'secrets.set',
    it => it.setSecret('c1', 'password', { value: CANARY, revision: 3 }),
    { id: 'c1', field: 'password', value: CANARY, revision: 3 },
    connectionView()
  ],
  [
    'vault.setup',
    it => it.setUpVault('passphrase', CANARY),
    { custodian: 'passphrase', passphrase: CANARY },
    vaultState()
  ],
  ['vault.unlock', it => it.unlockVault(CANARY), { passphrase: CANARY }, vaultState()],
  ['vault.passphrase', it => it.changePassphrase(CANARY, 'next'), { current: CANARY, new: 'next' }, vaultState()],
  [
    'slots.add',
    it => it.addSlot({ kind: 'passphrase', passphrase: 'next', proof: { passphrase: CANARY } }),
    { kind: 'passphrase', passphrase: 'next', proof: { passphrase: CANARY } },
    slotList()
  ],
  [
    'slots.remove',
    it => it.removeSlot('s2', { passphrase: CANARY }),
    { id: 's2', proof: { passphrase: CANARY } },
    slotList()
  ],
  [
    'connections.export',
    it => it.exportConnections({ passphrase: CANARY, with_secrets: true, proof: { passphrase: CANARY } }),
    { passphrase: CANARY, with_secrets: true, proof: { passphrase: CANARY } },
    exportedConnections()
  ],
  [
    'connections.import_preview',
    it => it.previewImport({ file: 'text', passphrase: CANARY }),
    { file: 'text', passphrase: CANARY },
    importPreview()
  ],
  [
    'connections.import',
    it => it.importConnections({ file: 'text', passphrase: CANARY, decisions: [] }),
    { file: 'text', passphrase: CANARY, decisions: [] },
    { connections: [], skipped: [] }
  ],
  [
    'workspaces.accept',
    it => it.acceptWorkspace({ root: '/home/ada/shop', id: 'b1' }, 'd'),
    { workspace: { root: '/home/ada/shop', id: 'b1' }, digest: 'd' },
    connectionView()
  ],
  ['vault.rotate', it => it.rotateKeys({ passphrase: CANARY }), { proof: { passphrase: CANARY } }, slotList()]
];

test('each sealable operation is tried here', () => {
  expect(CALLS.map(([operation]) => operation).sort()).toEqual([...SEALABLE].sort());
});

test.each(CALLS)('%s leaves the page sealed, with its address inside', async (operation, call, request, answer) => {
  const server = await new FakeServer().start();
  server.answers = [{ status: 200, body: answer }];
  await call(server.api());
  expect(server.sent).toHaveLength(2);
  expect(server.asked()[0]).toBe(OPERATIONS['vault.sealing_key'].path);
  expect(JSON.stringify(server.sent)).not.toContain(CANARY);
  expect(Object.keys(JSON.parse(server.sent[1].body) as object)).toEqual(['sealed']);
  expect(await server.opened(server.sent[1], operation)).toEqual(request);
});

test('the key is asked for once', async () => {
  const server = await new FakeServer().start();
  const it = server.api();
  await it.unlockVault(CANARY);
  await it.unlockVault(CANARY);
  expect(server.asked()).toEqual(['/vault/sealing-key', '/vault/unlock', '/vault/unlock']);
});

test('after the broker was started again the request is sealed anew, once', async () => {
  const server = await new FakeServer().start();
  const it = server.api();
  await it.unlockVault(CANARY);
  await server.start();
  server.answers = [changed, { status: 200, body: vaultState() }];
  await it.unlockVault(CANARY);
  expect(server.asked().slice(2)).toEqual(['/vault/unlock', '/vault/sealing-key', '/vault/unlock']);
  expect(await server.opened(server.sent[4], 'vault.unlock')).toEqual({ passphrase: CANARY });
});

test('a key that changes each time is an error, and no loop', async () => {
  const server = await new FakeServer().start();
  server.answers = [changed];
  await expect(server.api().unlockVault(CANARY)).rejects.toMatchObject({ code: 'sealing_key_changed', status: 409 });
  expect(server.asked().filter(path => path === '/vault/unlock')).toHaveLength(2);
});

test('another refusal is not tried again', async () => {
  const server = await new FakeServer().start();
  server.answers = [{ status: 403, body: { code: 'wrong_passphrase', detail: 'd', title: 't' } }];
  await expect(server.api().unlockVault(CANARY)).rejects.toMatchObject({ code: 'wrong_passphrase' });
  expect(server.sent).toHaveLength(2);
});

test.each([
  ['of another suite', { suite: 'another' }],
  ['that is no point', { public_key: 'QUJD' }]
])('to a key %s nothing is sent', async (_, change) => {
  const server = await new FakeServer().start();
  server.key = { ...server.key, ...change } as SealingKey;
  const error = (await server
    .api()
    .unlockVault(CANARY)
    .catch((found: unknown) => found)) as Error;
  expect(error).toBeInstanceOf(Error);
  expect(error.message + (error.stack ?? '') + JSON.stringify(error)).not.toContain(CANARY);
  expect(server.asked()).toEqual(['/vault/sealing-key']);
});

test('a server that gives no key gets nothing', async () => {
  const request = (async () => new Response('{}', { status: 404 })) as unknown as Requester;
  const it = new RestApi(ServerConnection.makeSettings({ baseUrl: 'http://server/' }), request);
  await expect(it.unlockVault(CANARY)).rejects.toBeInstanceOf(ProblemError);
});

test('where the browser has no such cryptography the page says so and sends it as it is', async () => {
  vi.stubGlobal('crypto', {});
  const server = new FakeServer();
  const it = server.api();
  expect(it.seals).toBe(false);
  await it.unlockVault(CANARY);
  expect(server.sent).toEqual([{ path: '/vault/unlock', body: JSON.stringify({ passphrase: CANARY }) }]);
});

test('what holds no secret goes in the open', async () => {
  const server = await new FakeServer().start();
  await server.api().lockVault();
  expect(server.sent).toEqual([{ path: '/vault/lock', body: '{}' }]);
});
