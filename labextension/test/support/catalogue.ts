/// <reference types="vite/client" />
/** The kinds of connections as the package brings them, from the files themselves. */
import type { ProviderDefinition } from '../../src/contracts';

const FILES = import.meta.glob<ProviderDefinition>('../../../connvault_jupyter/providers/catalogue/*.json', {
  eager: true,
  import: 'default'
});

const CATALOGUE = new Map(Object.values(FILES).map(item => [item.id, item]));

export const KINDS: readonly string[] = [...CATALOGUE.keys()];

export function catalogue(id: string): ProviderDefinition {
  return CATALOGUE.get(id)!;
}
