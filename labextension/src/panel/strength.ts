/**
 * Estimates with zxcvbn how long a passphrase resists guessing. It guides people; only the server's minimum counts.
 *
 * The estimator and its word lists are loaded when the first passphrase is typed, once in the lifetime of a vault.
 */

export type Strength = 'short' | 'weak' | 'fair' | 'strong';

export interface Rating {
  strength: Strength;
  /** 0 to 1, for a meter. */
  share: number;
}

// Guesses that an attacker with the vault file needs, as powers of ten. Each guess is an Argon2id of 64 MiB, so a
// thousand graphics cards try about 100,000 a second: that takes a day, or three years.
const FAIR_LOG10 = 10;
const STRONG_LOG10 = 13;

interface Estimator {
  check(text: string): { guessesLog10: number };
}

let loading: Promise<Estimator> | null = null;

async function load(): Promise<Estimator> {
  const [{ ZxcvbnFactory }, { adjacencyGraphs, dictionary }] = await Promise.all([
    import('@zxcvbn-ts/core'),
    import('@zxcvbn-ts/language-common')
  ]);
  return new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs });
}

export async function strengthOf(passphrase: string, minimumChars: number): Promise<Rating> {
  const { length } = [...passphrase];
  if (length < minimumChars) {
    return { strength: 'short', share: (length / minimumChars) * 0.2 };
  }
  loading ??= load();
  const guesses = (await loading).check(passphrase).guessesLog10;
  const strength = guesses < FAIR_LOG10 ? 'weak' : guesses < STRONG_LOG10 ? 'fair' : 'strong';
  return { strength, share: Math.min(1, Math.max(0.2, guesses / (STRONG_LOG10 * 1.25))) };
}
