/**
 * A pasted URL or command, taken apart: which kind of connection it is for, its fields, and the secret apart from them.
 */
import type { FieldValue } from '../contracts';

export interface Pasted {
  providerId: string;
  fields: { [name: string]: FieldValue };
  /** Goes straight into the secret input. */
  secrets: { [name: string]: string };
}

/** The kinds of connections that `parsePasted` knows. */
export const PASTEABLE: ReadonlySet<string> = new Set(['postgresql', 'http']);

/** What the text says, or `null` when it is neither a URL nor a command that is known here. */
export function parsePasted(text: string): Pasted | null {
  const line = text.trim().replace(/^%?(?:export\s+)?[A-Z_]+=/, '').replace(/^(['"])(.*)\1$/s, '$2');
  if (/^postgres(ql)?(\+\w+)?:\/\//i.test(line)) {
    return fromDatabaseUrl(line);
  }
  if (/^\$?\s*psql\b/.test(line)) {
    return fromPsql(words(line.replace(/^\$\s*/, '')).slice(1));
  }
  if (/^(host|hostaddr|dbname|port|user|password|sslmode)\s*=/.test(line)) {
    return fromKeywords(line);
  }
  if (/^https?:\/\//i.test(line)) {
    return fromHttpUrl(line);
  }
  return null;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function url(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

// `URL` knows host and port of a few schemes only, differently in each browser.
const DATABASE_URL =
  /^[a-z0-9+]+:\/\/(?:(?<login>[^/?#]*)@)?(?<host>\[[^\]]*\]|[^/:?#@]*)(?::(?<port>\d+))?(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?/i;

function fromDatabaseUrl(text: string): Pasted | null {
  const parts = DATABASE_URL.exec(text)?.groups;
  if (!parts) {
    return null;
  }
  const query = new URLSearchParams(parts.query ?? '');
  const [user, password] = (parts.login ?? '').split(/:(.*)/s);
  return database({
    host: decoded(parts.host).replace(/^\[|\]$/g, '') || query.get('host'),
    port: parts.port ?? query.get('port'),
    dbname: decoded(parts.database ?? '') || query.get('dbname'),
    user: decoded(user) || query.get('user'),
    password: decoded(password ?? '') || query.get('password'),
    sslmode: query.get('sslmode')
  });
}

const PSQL_OPTIONS: { [option: string]: string } = {
  '-h': 'host',
  '--host': 'host',
  '-p': 'port',
  '--port': 'port',
  '-U': 'user',
  '--username': 'user',
  '-d': 'dbname',
  '--dbname': 'dbname'
};

function fromPsql(args: string[]): Pasted | null {
  const found: { [key: string]: string } = {};
  const rest: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const [option, value] = args[index].startsWith('--') ? args[index].split(/=(.*)/s) : [args[index], undefined];
    const key = PSQL_OPTIONS[option] ?? PSQL_OPTIONS[option.slice(0, 2)];
    if (!option.startsWith('-')) {
      rest.push(option);
    } else if (key) {
      found[key] = value ?? (option.length > 2 && !option.startsWith('--') ? option.slice(2) : (args[++index] ?? ''));
    }
  }
  const target = found.dbname ?? rest[0];
  if (target && /^postgres(ql)?:\/\//i.test(target)) {
    return fromDatabaseUrl(target);
  }
  if (target && target.includes('=')) {
    return fromKeywords(target);
  }
  return database({ ...found, dbname: target, user: found.user ?? rest[1] });
}

function fromKeywords(text: string): Pasted | null {
  const found: { [key: string]: string } = {};
  for (const match of text.matchAll(/(\w+)\s*=\s*(?:'((?:\\.|[^'\\])*)'|(\S+))/g)) {
    found[match[1]] = (match[2] ?? match[3]).replace(/\\(.)/g, '$1');
  }
  return database({ ...found, host: found.host ?? found.hostaddr });
}

function database(found: { [key: string]: string | null | undefined }): Pasted | null {
  const fields: Pasted['fields'] = {};
  const port = Number(found.port);
  if (found.host) {
    fields.host = found.host;
  }
  if (found.port && Number.isInteger(port) && port > 0 && port < 65_536) {
    fields.port = port;
  }
  if (found.dbname) {
    fields.database = found.dbname;
  }
  if (found.user) {
    fields.user = found.user;
  }
  if (found.sslmode) {
    fields.sslmode = found.sslmode;
  }
  if (!Object.keys(fields).length) {
    return null;
  }
  return { providerId: 'postgresql', fields, secrets: found.password ? { password: found.password } : {} };
}

function fromHttpUrl(text: string): Pasted | null {
  const parsed = url(text);
  if (!parsed) {
    return null;
  }
  const fields: Pasted['fields'] = { base_url: parsed.origin + parsed.pathname.replace(/\/$/, '') };
  const secrets: Pasted['secrets'] = {};
  if (parsed.protocol === 'http:') {
    fields.allow_http = true;
  }
  if (parsed.username) {
    fields.username = decoded(parsed.username);
    fields.auth = 'basic';
  }
  if (parsed.password) {
    secrets.password = decoded(parsed.password);
  }
  return { providerId: 'http', fields, secrets };
}

/** A command line into words, quotes taken off. */
function words(line: string): string[] {
  return [...line.matchAll(/"((?:\\.|[^"\\])*)"|'([^']*)'|((?:\\.|[^\s"'])+)/g)].map(
    match => match[1] ?? match[2] ?? match[3] ?? ''
  );
}
