/**
 * Seals a whole request to the broker's key, so that neither the server's process nor what stands before it can read it.
 *
 * HPKE (RFC 9180) in base mode, one message a context; what is sealed, to what it is bound and why is described in
 * connvault_jupyter/vault/sealed_requests.py, which opens it. Nothing is kept here.
 */
import type { OperationName, Sealed, SealingKey } from './contracts';

/** What a text is bound to begins with it; the operation's name follows. */
export const SEALING_INFO = 'connvault-jupyter v1 sealed request\0';

/** A form without its secret is shorter nearly always, so the length of what is sent tells nothing of the secret's. */
const BLOCK_BYTES = 1024;

/** Whether this page can seal at all: browsers have that cryptography on secure origins only (https, localhost). */
export function canSeal(): boolean {
  return globalThis.crypto?.subtle !== undefined;
}

/**
 * @param request - as the operation's contract wants it, with what path and headers carry
 * @throws when the key is none that this page knows, or the chunk with the cryptography can't be loaded
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

/** JSON, and spaces, which JSON ignores at its end. */
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
