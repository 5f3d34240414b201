/**
 * A provider's schema, prepared for a form: secrets are never required in the form data (they are never in it), and the
 * order, the placeholders and the multi-line inputs come from its `x-` keywords.
 */
import type { RJSFSchema, UiSchema } from '@rjsf/utils';

import type { FieldValue, ProviderDefinition } from '../contracts';
import { isObject } from '../decoders';

interface FormSchema {
  /** What the data is checked against, with the provider's own messages beside its rules. */
  schema: RJSFSchema;
  /** What is drawn: the same schema, with the same `x-` keywords wherever a field is named. */
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
  /** The provider's own messages by kind of problem: `required`, `pattern`. */
  'x-messages'?: unknown;
  /** Neighbouring fields of the same group share a line. */
  'x-group'?: unknown;
  [keyword: string]: unknown;
}

/** The name of the widget for secret fields. */
export const SECRET_WIDGET = 'connvaultSecret';

const CONDITIONAL = ['then', 'else', 'not'] as const;
const LISTED = ['allOf', 'anyOf', 'oneOf'] as const;

/**
 * Returns all properties, including those of conditional parts. A declaration (which has a type) takes precedence over
 * a condition that only adds a rule.
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

/** Whether this declares the field; every provider's declaration has a type, its own or by reference. */
export function isDeclared(property: unknown): boolean {
  return isObject(property) && (property.type !== undefined || property.$ref !== undefined);
}

export function secretFields(provider: ProviderDefinition): string[] {
  return inOrder(propertiesOf(provider.fields)).filter(([, property]) => property.writeOnly === true).map(([name]) => name);
}

/** Whether code may ask for the plain text of a new connection by default; the same rule as in `CreateConnection`. */
export function revealsByDefault(provider: ProviderDefinition): boolean {
  return !provider.deliveries.some(delivery => delivery.mode === 'brokered');
}

/** Whether code can get nothing but plain text from such a connection. */
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

/** Returns the schema with no secret in any `required`, and without keywords that only concern the document. */
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
 * Returns the schema with the same `x-` keywords for a field in all of its parts, without the messages.
 *
 * The form library merges the parts that apply, and gives up on all of them if two disagree on a keyword that it does
 * not know: a condition with its own message for the address would drop the token's input from the form.
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

/** Returns the `x-` keywords of a field (without its messages), or all the others. */
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
 * Returns the secrets that `data` requires; one in a conditional part only while its condition holds.
 *
 * @param holds - tells whether a condition holds; the default supports a few keywords, on named fields
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

/** Needs no validator: `required`, `const`, `enum` and `pattern` tell which secret a stored connection lacks. */
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

/** Converts given values for the form: no secrets, and text is converted to the field's own type. */
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

/** Whether the destination fields of `data` differ from those of a connection; both have the schema's defaults. */
export function destinationChanged(
  fields: { [name: string]: unknown },
  data: { [name: string]: unknown },
  destination: readonly string[]
): boolean {
  return destination.some(name => (fields[name] ?? null) !== (data[name] ?? null));
}
