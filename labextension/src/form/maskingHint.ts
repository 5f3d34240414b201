/**
 * What is said beside a secret that is not masked where the service sends it back.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { SecretState } from '../contracts';

/** Empty where there is nothing to say, or no secret. */
export function maskingHint(secret: SecretState | undefined, trans: TranslationBundle): string {
  return secret === undefined || secret.masked
    ? ''
    : trans.__(
        'Too short or too easy to guess to be masked in responses. A random secret of at least 24 characters is masked.'
      );
}
