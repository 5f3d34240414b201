/** The kinds of connections as the package brings them, from the files themselves. */
import http from '../../../connvault_jupyter/providers/catalogue/http.json';
import postgresql from '../../../connvault_jupyter/providers/catalogue/postgresql.json';
import secret from '../../../connvault_jupyter/providers/catalogue/secret.json';

import type { ProviderDefinition } from '../../src/contracts';

const CATALOGUE: { [id: string]: unknown } = { http, postgresql, secret };

export function catalogue(id: string): ProviderDefinition {
  return CATALOGUE[id] as ProviderDefinition;
}
