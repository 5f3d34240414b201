/**
 * How long a passphrase holds, as zxcvbn estimates it. It guides a person; the server's minimum is what counts.
 *
 * The estimator and its word lists are loaded when the first passphrase is typed, once in the life of a vault.
 */

export type Strength = 'short' | 'weak' | 'fair' | 'strong';

export interface Rating {
  strength: Strength;
  /** 0 to 1, for a meter. */
  share: number;
}

// Powers of ten of guesses that an attacker with the file needs. Each guess is an Argon2id of 64 MiB, so a thousand
// graphics cards try about 100,000 a second: a day, and three years.
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
