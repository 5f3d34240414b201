/**
 * Where a secret that is typed into a form would go, in words for people, and never shortened.
 */
import type { ProviderDefinition } from '../contracts';
import { ownName } from '../foreignText';
import { fieldTitle, formSchema, propertiesOf, secretFields } from './schema';

export interface Target {
  /** `db.internal:5432`; `''` as long as nothing names a destination. */
  text: string;
  /** The fields that the text is made of. */
  fields: string[];
}

const PLACE = /\{([a-z][a-z0-9_]*)\}/g;

// As on the server: a form may lack fields that the pattern names.
const MISSING = '…';

/**
 * Returns the destinations: the part of the provider's pattern from the first destination field to the last (a user or
 * a database around it is not a place, but could be made to look like one), and every other address among these fields.
 */
export function targetsOf(provider: ProviderDefinition, data: { readonly [name: string]: unknown }): Target[] {
  const properties = propertiesOf(provider.fields);
  const { destination } = formSchema(provider);
  if (!secretFields(provider).length || !destination.length) {
    return [];
  }
  const named = [...(provider.destination ?? '').matchAll(PLACE)].filter(([, name]) => destination.includes(name));
  const inLine = named.map(([, name]) => name);
  const isAddress = (name: string): boolean => properties[name]?.format === 'uri' && shown(data[name]) !== '';
  const others = destination.filter(name => !inLine.includes(name) && isAddress(name));
  const targets = others.map(name => ({ text: ownName(shown(data[name])), fields: [name] }));
  if (named.length) {
    const last = named[named.length - 1];
    const pattern = (provider.destination ?? '').slice(named[0].index, last.index + last[0].length);
    targets.unshift({ text: filled(pattern, data, inLine), fields: inLine });
  } else if (!others.length) {
    // No pattern and no address: each field with its title.
    const given = destination.filter(name => shown(data[name]) !== '');
    const text = given.map(name => `${fieldTitle(provider, name)}: ${ownName(shown(data[name]))}`).join(', ');
    targets.push({ text, fields: given });
  }
  return targets.filter(({ text }) => text !== '');
}

function filled(pattern: string, data: { readonly [name: string]: unknown }, names: readonly string[]): string {
  const isText = (name: string): boolean => typeof data[name] === 'string' && data[name] !== '';
  // A port alone, which is there by default, says nothing yet.
  if (!names.some(isText)) {
    return '';
  }
  const withServers = pattern.replace('{host}:{port}', whole => servers(data) || whole);
  return withServers.replace(PLACE, (_, name: string, at: number) => {
    const value = ownName(shown(data[name]));
    const following = withServers.slice(at + name.length + 2);
    // An IPv6 address before a port gets brackets.
    return value.includes(':') && !value.includes('/') && following.startsWith(':') ? `[${value}]` : value || MISSING;
  });
}

/** Lists servers, each with its own port, a path in brackets; `''` for one plain name or address, as anywhere else. */
function servers(data: { readonly [name: string]: unknown }): string {
  const host = ownName(shown(data.host));
  const port = shown(data.port) || MISSING;
  const isPlain = !host.includes(',') && !host.startsWith('/') && !/^[^:]*:\d+$|^\[/.test(host);
  return isPlain ? '' : host.split(',').map(entry => server(entry, port)).join(',');
}

function server(entry: string, port: string): string {
  if (entry.startsWith('/') || (!entry.startsWith('[') && entry.split(':').length > 2)) {
    return `[${entry}]:${port}`;
  }
  return /:\d+$/.test(entry.replace(/^\[[^\]]*\]/, '')) ? entry : `${entry}:${port}`;
}

function shown(value: unknown): string {
  return value === undefined || value === null ? '' : String(value);
}
