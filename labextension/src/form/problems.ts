/**
 * What is wrong with a form, field by field, in words for people.
 */
import type { RJSFValidationError } from '@rjsf/utils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { FieldError } from '../contracts';
import { propertiesOf } from './schema';

/** One sentence per field; `''` stands for the whole form, `NAME_FIELD` for the name used in code. */
export type Problems = { [field: string]: string };

/** The key of the form's one field that is not the provider's; no provider field can have a space in its name. */
export const NAME_FIELD = 'connection name';

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

export function nameProblem(name: string, taken: readonly string[], trans: TranslationBundle): string {
  if (!name) {
    return trans.__('Enter the name that code will use.');
  }
  if (!NAME.test(name)) {
    return trans.__('Start with a letter, then use only letters, digits, "_", "-" and "." (64 characters at most).');
  }
  return taken.includes(name) ? trans.__('Another connection has this name. Choose another one.') : '';
}

/** Returns the first problem of each field from what the validator found. */
export function problemsOf(
  errors: readonly RJSFValidationError[],
  schema: unknown,
  trans: TranslationBundle
): Problems {
  const found: Problems = {};
  for (const error of errors) {
    const field = (error.property ?? '').replace(/^\./, '').split(/[.[]/)[0].replace(/^'|'$/g, '');
    // A failed condition says nothing by itself; what it requires is reported too.
    if (!field || error.name === 'if' || field in found) {
      continue;
    }
    const property = propertiesOf(schema)[field] ?? {};
    const title = typeof property.title === 'string' && property.title ? property.title : field;
    found[field] =
      wordsAt(schema, error) || ownMessage(schema, field, error.name ?? '') || sentence(error, title, property, trans);
  }
  return found;
}

/** Returns the provider's own message for a kind of problem with a field; `''` if it has none. */
export function ownMessage(schema: unknown, field: string, kind: string): string {
  // An empty text counts as missing.
  return messageIn(propertiesOf(schema)[field]?.['x-messages'], kind === 'minLength' ? 'required' : kind);
}

/** Returns the message beside the rule that failed, which may be part of a condition. */
function wordsAt(schema: unknown, error: RJSFValidationError): string {
  const parts = (error.schemaPath ?? '').replace(/^#\//, '').split('/').slice(0, -1);
  let at: unknown = schema;
  for (const part of parts) {
    at = (at as { [key: string]: unknown } | undefined)?.[part.replace(/~1/g, '/').replace(/~0/g, '~')];
  }
  return messageIn((at as { [key: string]: unknown } | undefined)?.['x-messages'], error.name ?? '');
}

function messageIn(messages: unknown, kind: string): string {
  const found = typeof messages === 'object' && messages !== null ? (messages as { [kind: string]: unknown })[kind] : '';
  return typeof found === 'string' ? found : '';
}

function sentence(
  error: RJSFValidationError,
  title: string,
  property: { [keyword: string]: unknown },
  trans: TranslationBundle
): string {
  // "CA certificate" keeps its capitals, "Database" does not.
  const lower = /^[A-Z]{2}/.test(title) ? title : title.charAt(0).toLowerCase() + title.slice(1);
  switch (error.name) {
    case 'required':
    case 'minLength':
      return trans.__('Enter the %1.', lower);
    case 'type':
      return property.type === 'integer' || property.type === 'number'
        ? trans.__('Enter a number.')
        : trans.__('Enter the %1.', lower);
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return typeof property.minimum === 'number' && typeof property.maximum === 'number'
        ? trans.__('Enter a number from %1 to %2.', property.minimum, property.maximum)
        : trans.__('This number is out of range.');
    case 'enum':
    case 'const':
      return trans.__('Choose one from the list.');
    case 'maxLength':
      return trans.__('This is too long.');
    case 'format':
      return trans.__('The %1 is incomplete. Check its format.', lower);
    default:
      return trans.__('The %1 does not have the expected format.', lower);
  }
}

/** Returns what the server found, by the fields that it named; if it named none, `detail` is about the whole form. */
export function serverProblems(errors: readonly FieldError[], detail: string): Problems {
  const found: Problems = {};
  for (const { path, message } of errors) {
    const parts = path.split('.');
    const field = (parts[0] === 'fields' || parts[0] === 'secrets') && parts[1] ? parts[1] : parts[0] === 'name' ? NAME_FIELD : '';
    if (field && !(field in found)) {
      // The server's messages continue a name ("is missing"); beside the field they are sentences of their own.
      found[field] = message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? '' : '.');
    }
  }
  if (!Object.keys(found).length) {
    found[''] = detail;
  }
  return found;
}
