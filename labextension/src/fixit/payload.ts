/**
 * What a card in a notebook says, read with distrust: it is part of the notebook, and anyone may have written it.
 */
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { foreignText } from '../foreignText';
import { CommandIDs } from '../tokens';

export const FIXIT_MIME = 'application/vnd.connvault.fixit+json';
export const HANDLE_MIME = 'application/vnd.connvault.handle+json';

export interface FixIt {
  code: string;
  title: string;
  message: string;
  action: { label: string; args: ReadonlyPartialJSONObject } | null;
}

export interface HandleInfo {
  name: string;
  kind: string;
  destination: string;
  mode: 'brokered' | 'in_clear' | 'reveal';
  decision: string;
  expiresAt: string | null;
  openers: string[];
}

type Json = { [key: string]: unknown };

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? foreignText(value) : '';
}

/** `null` for what is no card. A card may open a screen; any other command is dropped. */
export function readFixIt(data: unknown): FixIt | null {
  if (!isObject(data) || !text(data.title)) {
    return null;
  }
  const { action } = data;
  const opens = isObject(action) && action.command === CommandIDs.open && text(action.label) !== '';
  return {
    code: text(data.code),
    title: text(data.title),
    message: text(data.message),
    action: opens ? { label: text(action.label), args: plainArgs(action.args) } : null
  };
}

/** Names, ids and screens only. Values for a form's fields don't come from a card. */
function plainArgs(args: unknown): ReadonlyPartialJSONObject {
  if (!isObject(args)) {
    return {};
  }
  const kept = ['name', 'connectionId', 'new', 'screen'].filter(
    key => typeof args[key] === 'string' || args[key] === true
  );
  return Object.fromEntries(kept.map(key => [key, args[key] === true ? true : text(args[key])]));
}

export function readHandle(data: unknown): HandleInfo | null {
  if (!isObject(data) || !text(data.name)) {
    return null;
  }
  const { mode, openers, expires_at: expiresAt } = data;
  if (mode !== 'brokered' && mode !== 'in_clear' && mode !== 'reveal') {
    return null;
  }
  return {
    name: text(data.name),
    kind: text(data.kind),
    destination: text(data.destination),
    mode,
    decision: text(data.decision),
    expiresAt: typeof expiresAt === 'string' && !Number.isNaN(Date.parse(expiresAt)) ? expiresAt : null,
    openers: (Array.isArray(openers) ? openers : []).map(text).filter(name => /^[a-z_]\w*$/i.test(name))
  };
}
