/**
 * Seals a whole request to the broker's key: neither the server's process nor anything in front of it can read it.
 *
 * HPKE (RFC 9180) in base mode, one message per context. connvault_jupyter/vault/sealed_requests.py opens it, and
 * describes what is sealed, what it is bound to, and why. Nothing is kept here.
 */
import type { OperationName, Sealed, SealingKey } from './contracts';

/** The beginning of what a sealed text is bound to; the operation's name follows. */
export const SEALING_INFO = 'connvault-jupyter v1 sealed request\0';

/** Nearly every form without its secret is shorter, so the length of what is sent says nothing about the secret's. */
const BLOCK_BYTES = 1024;

/** Whether this page can seal at all: browsers have that cryptography on secure origins only (https, localhost). */
export function canSeal(): boolean {
  return globalThis.crypto?.subtle !== undefined;
}

/**
 * @param request - as the operation's contract requires it, with what the path and the headers carry
 * @throws if the key is not one that this page can use, or the chunk with the cryptography can't be loaded
 */
export async function seal(key: SealingKey, operation: OperationName, request: object): Promise<Sealed> {
  // Loaded when something is sealed for the first time.
  const { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } = await import('@hpke/core');
  const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
  const sender = await suite.createSenderContext({
    recipientPublicKey: await suite.kem.deserializePublicKey(fromBase64(key.public_key)),
    info: bytes(SEALING_INFO + operation)
  });
  const ciphertext = await sender.seal(padded(request));
  return {
    sealed: { key_id: key.key_id, enc: toBase64(sender.enc), ciphertext: toBase64(ciphertext) }
  };
}

/** Returns the request as JSON, padded with spaces, which JSON ignores at the end. */
function padded(request: object): Uint8Array<ArrayBuffer> {
  const text = bytes(JSON.stringify(request));
  const whole = new Uint8Array(Math.ceil(text.length / BLOCK_BYTES) * BLOCK_BYTES).fill(0x20);
  whole.set(text);
  return whole;
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}

function toBase64(buffer: ArrayBuffer): string {
  let text = '';
  for (const byte of new Uint8Array(buffer)) {
    text += String.fromCharCode(byte);
  }
  return btoa(text);
}
