// @vitest-environment node
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from '@hpke/core';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import type { OperationName, SealedText, SealingKey } from '../src/contracts';
import { canSeal, seal, SEALING_INFO } from '../src/sealing';

interface Vector {
  name: string;
  private_key: string;
  key: SealingKey;
  operation: OperationName;
  plaintext: string;
  sealed: SealedText;
}

const VECTORS = JSON.parse(
  readFileSync(new URL('../../tests/vault/vectors/sealed_request_v1.json', import.meta.url), 'utf8')
).cases as Vector[];

const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

const raw = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(base64, 'base64'));

/** The broker's half, as vault/sealed_requests.py describes it. */
async function open(vector: Vector, sealed: SealedText, operation: string): Promise<string> {
  const scalar = Uint8Array.from(Buffer.from(vector.private_key, 'hex'));
  const recipient = await suite.createRecipientContext({
    recipientKey: await suite.kem.deserializePrivateKey(scalar),
    enc: raw(sealed.enc),
    info: new TextEncoder().encode(SEALING_INFO + operation)
  });
  return new TextDecoder().decode(await recipient.open(raw(sealed.ciphertext)));
}

test.each(VECTORS)('the vector of $name opens here too', async vector => {
  expect(await open(vector, vector.sealed, vector.operation)).toBe(vector.plaintext);
});

test.each(VECTORS)('what this page seals of $name is what its key opens', async vector => {
  const request = JSON.parse(vector.plaintext) as object;
  const { sealed } = await seal(vector.key, vector.operation, request);
  expect(sealed.key_id).toBe(vector.key.key_id);
  expect(raw(sealed.enc)).toHaveLength(65);
  const opened = await open(vector, sealed, vector.operation);
  expect(JSON.parse(opened)).toEqual(request);
  expect(new TextEncoder().encode(opened).length % 1024).toBe(0);
});

test('what is sealed for one operation opens for no other', async () => {
  const { sealed } = await seal(VECTORS[0].key, 'vault.unlock', { passphrase: 'p' });
  await expect(open(VECTORS[0], sealed, 'vault.passphrase')).rejects.toThrow();
});

test('the same request is another text each time, and as long', async () => {
  const made = await Promise.all(
    ['p', 'p', 'a much longer passphrase than that'].map(passphrase => seal(VECTORS[0].key, 'vault.unlock', { passphrase }))
  );
  const texts = made.map(({ sealed }) => sealed.ciphertext);
  expect(new Set(texts).size).toBe(3);
  expect(new Set(texts.map(text => text.length)).size).toBe(1);
});

test.each([
  ['no point', { public_key: 'QUJD' }],
  ['no point of the curve', { public_key: Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)]).toString('base64') }]
])('a key that is %s is not sealed to', async (_, change) => {
  await expect(seal({ ...VECTORS[0].key, ...change }, 'vault.unlock', { passphrase: 'p' })).rejects.toThrow();
});

test('a page can seal where the browser has the cryptography', () => {
  expect(canSeal()).toBe(true);
});
