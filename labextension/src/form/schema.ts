/**
 * A provider's schema, made ready for a form: secrets are never required of the form data (they are never in it), and
 * the order, the hints and the secret inputs come from its `x-` keywords.
 */
import type { RJSFSchema, UiSchema } from '@rjsf/utils';

import type { FieldValue, ProviderDefinition } from '../contracts';
import { isObject } from '../decoders';

interface FormSchema {
  /** What the data is checked against, with the provider's own messages beside its rules. */
  schema: RJSFSchema;
  /** What is drawn: the same, with the same `x-` keywords wherever a field is named. */
  drawn: RJSFSchema;
  uiSchema: UiSchema;
  /** Names of the secret fields, in order. */
  secrets: string[];
  /** Names of the fields that say where a secret may be sent. */
  destination: string[];
}

interface Property {
  writeOnly?: unknown;
  title?: unknown;
  description?: unknown;
  default?: unknown;
  format?: unknown;
  type?: unknown;
  /** Own words for a kind of problem: `required`, `pattern`. */
  'x-messages'?: unknown;
  /** Neighbours of one group stand on one line. */
  'x-group'?: unknown;
  [keyword: string]: unknown;
}

/** The name of the widget of secret fields. */
export const SECRET_WIDGET = 'connvaultSecret';

const CONDITIONAL = ['then', 'else', 'not'] as const;
const LISTED = ['allOf', 'anyOf', 'oneOf'] as const;

/**
 * All properties, those of conditional parts too. Where one is declared (with its type) counts over a condition that
 * only adds a rule to it.
 */
export function propertiesOf(schema: unknown): { [name: string]: Property } {
  if (!isObject(schema)) {
    return {};
  }
  const found: { [name: string]: Property } = {};
  const add = (properties: { [name: string]: unknown }): void => {
    for (const [name, property] of Object.entries(properties)) {
      if (isObject(property)) {
        found[name] = isDeclared(property) ? { ...found[name], ...property } : { ...property, ...found[name] };
      }
    }
  };
  for (const key of LISTED) {
    for (const part of Array.isArray(schema[key]) ? (schema[key] as unknown[]) : []) {
      add(propertiesOf(part));
    }
  }
  for (const key of CONDITIONAL) {
    add(propertiesOf(schema[key]));
  }
  add(isObject(schema.properties) ? schema.properties : {});
  return found;
}

/** Whether this says what the field is; every provider's declaration has a type, of its own or by a reference. */
export function isDeclared(property: unknown): boolean {
  return isObject(property) && (property.type !== undefined || property.$ref !== undefined);
}

export function secretFields(provider: ProviderDefinition): string[] {
  return inOrder(propertiesOf(provider.fields)).filter(([, property]) => property.writeOnly === true).map(([name]) => name);
}

/** Whether code may ask for the plain text of a new connection unless somebody says no; as `CreateConnection` has it. */
export function revealsByDefault(provider: ProviderDefinition): boolean {
  return !provider.deliveries.some(delivery => delivery.mode === 'brokered');
}

/** Whether code can get nothing but plain text of such a connection. */
export function revealOnly(provider: ProviderDefinition | undefined): boolean {
  return provider !== undefined && provider.deliveries.every(delivery => delivery.mode === 'reveal');
}

export function fieldTitle(provider: ProviderDefinition | undefined, field: string): string {
  const title = provider && propertiesOf(provider.fields)[field]?.title;
  return typeof title === 'string' && title ? title : field;
}

function inOrder(properties: { [name: string]: Property }): [string, Property][] {
  const order = (property: Property) => (typeof property['x-order'] === 'number' ? property['x-order'] : 1000);
  return Object.entries(properties).sort(([, one], [, other]) => order(one) - order(other));
}

/** `required` without the secrets, everywhere, and nothing that belongs to the document only. */
function withoutSecrets(schema: unknown, secrets: ReadonlySet<string>): unknown {
  if (Array.isArray(schema)) {
    return schema.map(item => withoutSecrets(item, secrets));
  }
  if (!isObject(schema)) {
    return schema;
  }
  const made: { [key: string]: unknown } = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'required' && Array.isArray(value)) {
      const kept = value.filter(name => !secrets.has(String(name)));
      if (kept.length) {
        made.required = kept;
      }
    } else if (key !== '$schema' && key !== '$id' && key !== 'title') {
      made[key] = key === 'properties' ? value : withoutSecrets(value, secrets);
    }
  }
  return made;
}

/**
 * The same schema with each field's `x-` keywords as they are in all parts together, messages left out.
 *
 * The form library merges the parts that hold, and gives all of them up when two name a keyword differently that it
 * does not know: a condition with its own message at the address would take the token's input out of the form.
 */
function alikeEverywhere(schema: unknown, properties: { [name: string]: Property }): unknown {
  if (Array.isArray(schema)) {
    return schema.map(item => alikeEverywhere(item, properties));
  }
  if (!isObject(schema)) {
    return schema;
  }
  const made: { [key: string]: unknown } = {};
  for (const [key, value] of Object.entries(schema)) {
    made[key] =
      key === 'properties' && isObject(value)
        ? Object.fromEntries(
            Object.entries(value).map(([name, item]) => [
              name,
              isObject(item) ? { ...extras(item, false), ...extras(properties[name] ?? {}, true) } : item
            ])
          )
        : alikeEverywhere(value, properties);
  }
  return made;
}

/** The keywords of a field that are `x-` (without its messages), or all others. */
function extras(property: Property, wanted: boolean): { [keyword: string]: unknown } {
  return Object.fromEntries(
    Object.entries(property).filter(([key]) => key.startsWith('x-') === wanted && key !== 'x-messages')
  );
}

export function formSchema(provider: ProviderDefinition): FormSchema {
  const properties = inOrder(propertiesOf(provider.fields));
  const secrets = properties.filter(([, property]) => property.writeOnly === true).map(([name]) => name);
  const uiSchema: UiSchema = { 'ui:order': [...properties.map(([name]) => name), '*'] };
  for (const [name, property] of properties) {
    const ui: { [key: string]: unknown } = {};
    if (property.writeOnly === true) {
      ui['ui:widget'] = SECRET_WIDGET;
    }
    if (typeof property['x-placeholder'] === 'string') {
      ui['ui:placeholder'] = property['x-placeholder'];
    }
    if (property['x-multiline'] === true && property.writeOnly !== true) {
      ui['ui:widget'] = 'textarea';
    }
    if (property.type === 'boolean') {
      ui['ui:widget'] = 'checkbox';
    }
    uiSchema[name] = ui;
  }
  const schema: RJSFSchema = { type: 'object', ...(withoutSecrets(provider.fields, new Set(secrets)) as RJSFSchema) };
  return {
    schema,
    drawn: alikeEverywhere(schema, Object.fromEntries(properties)) as RJSFSchema,
    uiSchema,
    secrets,
    destination: properties.filter(([, property]) => property['x-destination'] === true).map(([name]) => name)
  };
}

/**
 * The secrets that have to be there for `data`: one of a conditional part only while its condition holds.
 *
 * @param holds - tells whether a condition holds; the default knows a few keywords of named fields
 */
export function requiredSecrets(
  provider: ProviderDefinition,
  data: { [name: string]: unknown },
  holds: (schema: unknown, data: { [name: string]: unknown }) => boolean = simplyHolds
): string[] {
  const secrets = new Set(secretFields(provider));
  const found = new Set<string>();
  const walk = (schema: unknown): void => {
    if (!isObject(schema)) {
      return;
    }
    for (const name of Array.isArray(schema.required) ? schema.required : []) {
      if (secrets.has(String(name))) {
        found.add(String(name));
      }
    }
    for (const part of Array.isArray(schema.allOf) ? schema.allOf : []) {
      walk(part);
    }
    if (schema.if !== undefined) {
      walk(holds(schema.if, data) ? schema.then : schema.else);
    }
  };
  walk(provider.fields);
  return [...found];
}

/** Enough to tell which secret a stored connection lacks, without the validator: `const`, `enum` and `pattern`. */
function simplyHolds(schema: unknown, data: { [name: string]: unknown }): boolean {
  if (!isObject(schema)) {
    return schema !== false;
  }
  const required = Array.isArray(schema.required) ? schema.required : [];
  const conditions = Object.entries(isObject(schema.properties) ? schema.properties : {});
  return (
    required.every(name => data[String(name)] !== undefined) &&
    conditions.every(([name, condition]) => {
      const value = data[name];
      if (value === undefined || !isObject(condition)) {
        return true;
      }
      if (typeof condition.pattern === 'string') {
        return typeof value === 'string' && new RegExp(condition.pattern, 'u').test(value);
      }
      return 'const' in condition
        ? condition.const === value
        : !Array.isArray(condition.enum) || condition.enum.includes(value);
    })
  );
}

/** Given values as the form needs them: plain fields only, a text read as the field's own type. */
export function readPrefill(
  provider: ProviderDefinition,
  given: { [name: string]: unknown } | undefined
): { [name: string]: FieldValue } {
  const properties = propertiesOf(provider.fields);
  const found: { [name: string]: FieldValue } = {};
  for (const [name, value] of Object.entries(given ?? {})) {
    const property = properties[name];
    if (!property || property.writeOnly === true) {
      continue;
    }
    if ((property.type === 'integer' || property.type === 'number') && typeof value === 'string' && value.trim()) {
      const number = Number(value);
      found[name] = Number.isFinite(number) ? number : value;
    } else if (property.type === 'boolean' && typeof value === 'string') {
      found[name] = /^(true|yes|on|1)$/i.test(value.trim());
    } else if (property.type === 'string' && (typeof value === 'number' || typeof value === 'boolean')) {
      found[name] = String(value);
    } else if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      found[name] = value;
    }
  }
  return found;
}

/** Whether the destination fields of `data` differ from those of a connection, both with the schema's defaults. */
export function destinationChanged(
  fields: { [name: string]: unknown },
  data: { [name: string]: unknown },
  destination: readonly string[]
): boolean {
  return destination.some(name => (fields[name] ?? null) !== (data[name] ?? null));
}
