/**
 * The decoders that contracts are checked with: each takes `unknown` and returns the checked value, or throws an error
 * that names the place.
 */
import type { FieldValue } from './contracts';

export class ContractError extends Error {
  constructor(
    readonly path: string,
    expected: string
  ) {
    super(`The server's answer does not fit the contract: ${path || 'answer'} must be ${expected}.`);
    this.name = 'ContractError';
  }
}

export type Decoder<T> = (value: unknown, path?: string) => T;

/** The readable records of a list, and the number of unreadable ones. */
export interface Readable<T> {
  items: T[];
  unreadable: number;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export const text: Decoder<string> = (value, path = '') => {
  if (typeof value !== 'string') {
    throw new ContractError(path, 'text');
  }
  return value;
};

export const number: Decoder<number> = (value, path = '') => {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new ContractError(path, 'a number');
  }
  return value;
};

export const flag: Decoder<boolean> = (value, path = '') => {
  if (typeof value !== 'boolean') {
    throw new ContractError(path, 'true or false');
  }
  return value;
};

export const time: Decoder<string> = (value, path = '') => {
  if (typeof value !== 'string' || Number.isNaN(Date.parse(value))) {
    throw new ContractError(path, 'a time');
  }
  return value;
};

export const fieldValue: Decoder<FieldValue> = (value, path = '') => {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return value;
  }
  throw new ContractError(path, 'a plain value');
};

export const schema: Decoder<{ [key: string]: unknown }> = (value, path = '') => {
  if (!isObject(value)) {
    throw new ContractError(path, 'an object');
  }
  return value;
};

export function oneOf<T extends string>(...allowed: T[]): Decoder<T> {
  return (value, path = '') => {
    const found = allowed.find(item => item === value);
    if (found === undefined) {
      throw new ContractError(path, `one of ${allowed.join(', ')}`);
    }
    return found;
  };
}

export function orNull<T>(decode: Decoder<T>): Decoder<T | null> {
  return (value, path) => (value === null || value === undefined ? null : decode(value, path));
}

export function orElse<T>(decode: Decoder<T>, missing: T): Decoder<T> {
  return (value, path) => (value === undefined ? missing : decode(value, path));
}

export function list<T>(decode: Decoder<T>): Decoder<T[]> {
  return (value, path = '') => {
    if (!Array.isArray(value)) {
      throw new ContractError(path, 'a list');
    }
    return value.map((item, index) => decode(item, `${path}.${index}`));
  };
}

export function mapping<T>(decode: Decoder<T>): Decoder<{ [key: string]: T }> {
  return (value, path = '') => {
    if (!isObject(value)) {
      throw new ContractError(path, 'an object');
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item, `${path}.${key}`)]));
  };
}

export function object<T extends object>(shape: { [K in keyof Required<T>]: Decoder<Required<T>[K]> }): Decoder<Required<T>> {
  const entries = Object.entries(shape) as [string, Decoder<unknown>][];
  return (value, path = '') => {
    if (!isObject(value)) {
      throw new ContractError(path, 'an object');
    }
    const made = entries.map(([key, decode]) => [key, decode(value[key], path ? `${path}.${key}` : key)]);
    return Object.fromEntries(made) as Required<T>;
  };
}

export function readable<T>(value: unknown, key: string, decode: Decoder<T>): Readable<T> {
  const records = isObject(value) ? value[key] : undefined;
  if (!Array.isArray(records)) {
    throw new ContractError(key, 'a list');
  }
  const items: T[] = [];
  for (const record of records) {
    try {
      items.push(decode(record, key));
    } catch (error) {
      console.warn(String(error));
    }
  }
  return { items, unreadable: records.length - items.length };
}
