/**
 * Parses a pasted URL or command: the kind of connection it is for, its fields and, kept apart from these, the secret.
 */
import type { FieldValue } from '../contracts';

export interface Pasted {
  providerId: string;
  fields: { [name: string]: FieldValue };
  /** Go straight into the secret inputs. */
  secrets: { [name: string]: string };
}

/** The kinds of connections that `parsePasted` recognises, each with an example of its URLs. */
export const PASTEABLE: ReadonlyMap<string, string> = new Map([
  ['postgresql', 'postgresql://user@host:5432/database'],
  ['mysql', 'mysql://user@host:3306/database'],
  ['redis', 'rediss://user@host:6379/0'],
  ['http', 'https://api.example.com/v1']
]);

/** Parses the text; `null` if it is neither a URL nor a command that is known here. */
export function parsePasted(text: string): Pasted | null {
  const line = text.trim().replace(/^%?(?:export\s+)?[A-Z_]+=/, '').replace(/^(['"])(.*)\1$/s, '$2');
  if (/^postgres(ql)?(\+\w+)?:\/\//i.test(line)) {
    return fromPostgresUrl(line);
  }
  if (/^(mysql|mariadb)(\+\w+)?:\/\//i.test(line)) {
    return fromMysqlUrl(line);
  }
  if (/^(redis|valkey)s?:\/\//i.test(line)) {
    return fromRedisUrl(line);
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

/**
 * Whether a text that `parsePasted` does not recognise may hold a password: a URL with one before its host, or a call
 * of `curl`, which takes one in a dozen ways.
 */
export function mayHoldPassword(text: string): boolean {
  return /:\/\/[^\s:/]*:\S+@/.test(text) || /^\s*(\$\s*)?curl\s+\S/.test(text);
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

// `URL` parses host and port of only a few schemes, and differently in each browser.
const DATABASE_URL =
  /^[a-z0-9+]+:\/\/(?:(?<login>[^/?#]*)@)?(?<hosts>[^/?#@]*)(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?/i;
// One of several hosts, separated by commas (libpq).
const HOST = /^(?<host>\[[^\]]*\]|[^:]*)(?::(?<port>\d+))?/;

type Found = { [key: string]: string | null | undefined };

function urlParts(text: string): { found: Found; query: URLSearchParams } | null {
  const parts = DATABASE_URL.exec(text)?.groups;
  if (!parts) {
    return null;
  }
  const query = new URLSearchParams(parts.query ?? '');
  const [user, password] = (parts.login ?? '').split(/:(.*)/s);
  const hosts = parts.hosts.split(',').map(entry => HOST.exec(entry)?.groups ?? {});
  const found = {
    host: hosts.map(({ host }) => decoded(host).replace(/^\[|\]$/g, '')).join(',') || query.get('host'),
    port: hosts.some(({ port }) => port) ? hosts.map(({ port }) => port ?? '').join(',') : query.get('port'),
    dbname: decoded(parts.database ?? ''),
    user: decoded(user) || query.get('user'),
    password: decoded(password ?? '') || query.get('password')
  };
  return { found, query };
}

function fromPostgresUrl(text: string): Pasted | null {
  const parts = urlParts(text);
  return (
    parts &&
    database('postgresql', {
      ...parts.found,
      dbname: parts.found.dbname || parts.query.get('dbname'),
      sslmode: parts.query.get('sslmode'),
      target_session_attrs: parts.query.get('target_session_attrs')
    })
  );
}

// MySQL's own values of `--ssl-mode`.
const MYSQL_SSL_MODES: { [mode: string]: string } = {
  DISABLED: 'disable',
  PREFERRED: 'prefer',
  REQUIRED: 'require',
  VERIFY_CA: 'verify-ca',
  VERIFY_IDENTITY: 'verify-full'
};

function fromMysqlUrl(text: string): Pasted | null {
  const parts = urlParts(text);
  const mode = parts?.query.get('ssl-mode') ?? parts?.query.get('ssl_mode') ?? '';
  const socket = parts?.query.get('unix_socket') ?? parts?.query.get('socket');
  return (
    parts &&
    database('mysql', {
      ...parts.found,
      host: socket || parts.found.host,
      sslmode: MYSQL_SSL_MODES[mode.toUpperCase()]
    })
  );
}

function fromRedisUrl(text: string): Pasted | null {
  const parts = urlParts(text);
  return (
    parts &&
    database('redis', {
      ...parts.found,
      dbname: parts.found.dbname || parts.query.get('db'),
      sslmode: /^(rediss|valkeys):/i.test(text) ? 'verify-full' : 'disable'
    })
  );
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
    return fromPostgresUrl(target);
  }
  if (target && target.includes('=')) {
    return fromKeywords(target);
  }
  return database('postgresql', { ...found, dbname: target, user: found.user ?? rest[1] });
}

function fromKeywords(text: string): Pasted | null {
  const found: { [key: string]: string } = {};
  for (const match of text.matchAll(/(\w+)\s*=\s*(?:'((?:\\.|[^'\\])*)'|(\S+))/g)) {
    found[match[1]] = (match[2] ?? match[3]).replace(/\\(.)/g, '$1');
  }
  return database('postgresql', { ...found, host: found.host ?? found.hostaddr });
}

function isPort(text: string | undefined): boolean {
  const port = Number(text);
  return !!text && Number.isInteger(port) && port > 0 && port < 65_536;
}

/** Returns one of several hosts with its own port. */
function withPort(host: string, port: string | undefined): string {
  if (!isPort(port) || host.startsWith('/')) {
    return host;
  }
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function database(providerId: string, found: Found): Pasted | null {
  const fields: Pasted['fields'] = {};
  const hosts = (found.host ?? '').split(',');
  const ports = (found.port ?? '').split(',');
  if (found.host) {
    fields.host = ports.length > 1 ? hosts.map((host, at) => withPort(host, ports[at])).join(',') : found.host;
  }
  if (ports.length === 1 && isPort(ports[0])) {
    fields.port = Number(ports[0]);
  }
  if (hosts.length > 1 && found.target_session_attrs) {
    fields.target_session_attrs = found.target_session_attrs;
  }
  if (found.dbname) {
    fields.database = found.dbname;
  }
  if (found.user) {
    fields.user = found.user;
  }
  if (!Object.keys(fields).length && !found.password) {
    return null;
  }
  if (found.sslmode) {
    fields.sslmode = found.sslmode;
  }
  return { providerId, fields, secrets: found.password ? { password: found.password } : {} };
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

/** Splits a command line into words and removes their quotes. */
function words(line: string): string[] {
  return [...line.matchAll(/"((?:\\.|[^"\\])*)"|'([^']*)'|((?:\\.|[^\s"'])+)/g)].map(
    match => match[1] ?? match[2] ?? match[3] ?? ''
  );
}
