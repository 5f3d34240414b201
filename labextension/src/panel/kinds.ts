/**
 * The kinds of connections in the order in which people look for them, and a search among them.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { ProviderDefinition } from '../contracts';

export const CATEGORIES = ['database', 'api', 'storage', 'other'] as const;

export function categoryTitle(category: string, trans: TranslationBundle): string {
  switch (category) {
    case 'database':
      return trans.__('Databases');
    case 'api':
      return trans.__('APIs');
    case 'storage':
      return trans.__('Storage');
    default:
      return trans.__('Anything else');
  }
}

// Kinds that fit anything come after those made for something in particular.
const FITS_ALL: ReadonlySet<string> = new Set(['http', 'secret']);

/** Sorts by category, then by name; within a category, kinds that fit anything come last. */
export function byName(kinds: readonly ProviderDefinition[]): readonly ProviderDefinition[] {
  return [...kinds].sort(
    (one, other) =>
      CATEGORIES.indexOf(one.category ?? 'other') - CATEGORIES.indexOf(other.category ?? 'other') ||
      Number(FITS_ALL.has(one.id)) - Number(FITS_ALL.has(other.id)) ||
      one.name.localeCompare(other.name)
  );
}

/**
 * Returns the kinds that have every word of the query in their id, name, description or category: first those whose
 * name or id begins with the query, then those with a word in their name that begins with its first word, then those
 * whose name contains that word.
 */
export function searched(
  kinds: readonly ProviderDefinition[],
  query: string,
  trans: TranslationBundle
): readonly ProviderDefinition[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const whole = words.join(' ');
  const place = (kind: ProviderDefinition): number => {
    const name = kind.name.toLowerCase();
    if (name.startsWith(whole) || kind.id.startsWith(whole)) {
      return 0;
    }
    if (name.split(/[^\p{L}\p{N}]+/u).some(part => part.startsWith(words[0]))) {
      return 1;
    }
    return name.includes(words[0]) ? 2 : 3;
  };
  const text = (kind: ProviderDefinition): string =>
    [kind.id, kind.name, kind.description, categoryTitle(kind.category, trans)].join(' ').toLowerCase();
  // The sort is stable: equal ones stay ordered by name.
  return byName(kinds)
    .filter(kind => words.every(word => text(kind).includes(word)))
    .sort((one, other) => place(one) - place(other));
}
