/**
 * A rough idea of how long a passphrase holds. It guides a person; the server's minimum is what counts.
 */

export type Strength = 'short' | 'weak' | 'fair' | 'strong';

// Bits that an attacker with the file has to try, each try being an Argon2id of 64 MiB.
const FAIR_BITS = 45;
const STRONG_BITS = 65;

export function strengthOf(passphrase: string, minimumChars: number): { strength: Strength; share: number } {
  if ([...passphrase].length < minimumChars) {
    return { strength: 'short', share: Math.min(0.2, ([...passphrase].length / minimumChars) * 0.2) };
  }
  const bits = Math.min(byCharacters(passphrase), byWords(passphrase));
  const strength = bits < FAIR_BITS ? 'weak' : bits < STRONG_BITS ? 'fair' : 'strong';
  return { strength, share: Math.min(1, Math.max(0.2, bits / (STRONG_BITS * 1.25))) };
}

/** As if each character were drawn from the kinds that occur; runs and repeats count little. */
function byCharacters(text: string): number {
  const kinds: [RegExp, number][] = [
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/[0-9]/, 10],
    [/[^a-zA-Z0-9]/, 33]
  ];
  const alphabet = kinds.reduce((sum, [kind, size]) => sum + (kind.test(text) ? size : 0), 0);
  const characters = [...text];
  const fresh = characters.filter((character, index) => {
    const step = index ? character.codePointAt(0)! - characters[index - 1].codePointAt(0)! : 2;
    return Math.abs(step) > 1 && !characters.slice(0, index).includes(character);
  });
  const counted = fresh.length + (characters.length - fresh.length) * 0.35;
  return counted * Math.log2(Math.max(alphabet, 2));
}

/** Words are drawn from a list of some thousands, however long they are. */
function byWords(text: string): number {
  const words = text.split(/[\s_.-]+/).filter(Boolean);
  const plain = words.every(word => /^[A-Za-z]+$/.test(word));
  return plain && words.length > 1 ? new Set(words.map(word => word.toLowerCase())).size * 12.9 : Infinity;
}
