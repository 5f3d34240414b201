/**
 * Reads the content of a card in a notebook. It is not trusted: it is part of the notebook; anyone may have written it.
 */
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { Mode, DeliveryForm } from '../contracts';
import { isObject } from '../decoders';
import { foreignText } from '../foreignText';
import { CommandIDs } from '../tokens';

export const FIXIT_MIME = 'application/vnd.connvault.fixit+json';
export const HANDLE_MIME = 'application/vnd.connvault.handle+json';

export interface FixIt {
  code: string;
  /** The class name of the error, as code would catch it. */
  error: string;
  /** What happened. */
  title: string;
  /** What to do. */
  message: string;
  /** The first is what most people want. */
  actions: FixItAction[];
  /** Whether the card says everything that the error line above it says. */
  instead: boolean;
}

export interface FixItAction {
  label: string;
  args: ReadonlyPartialJSONObject;
}

export interface HandleInfo {
  name: string;
  kind: string;
  destination: string;
  mode: Mode;
  /** How a brokered handle becomes a client; `null` if an older notebook does not say. */
  delivery: DeliveryForm | null;
  decision: string;
  expiresAt: string | null;
  openers: string[];
  /** Whether the handle had ended when the card was drawn; an older notebook does not say. */
  ended: boolean;
}

const MOST_ACTIONS = 2;
const DELIVERY_FORMS: readonly DeliveryForm[] = ['relay', 'hand_over', 'login', 'reveal'];

function text(value: unknown): string {
  return typeof value === 'string' ? foreignText(value) : '';
}

/** Returns `null` for what is not a card. A card may open a screen; any other command is dropped. */
export function readFixIt(data: unknown): FixIt | null {
  if (!isObject(data) || !text(data.title)) {
    return null;
  }
  return {
    code: text(data.code),
    error: text(data.error),
    title: text(data.title),
    message: text(data.message),
    actions: (Array.isArray(data.actions) ? data.actions : []).slice(0, MOST_ACTIONS).flatMap(readAction),
    instead: data.instead === true
  };
}

function readAction(action: unknown): FixItAction[] {
  const opens = isObject(action) && action.command === CommandIDs.open && text(action.label) !== '';
  return opens ? [{ label: text(action.label), args: plainArgs(action.args) }] : [];
}

/** Keeps only names, ids and screens. Values for a form's fields never come from a card. */
function plainArgs(args: unknown): ReadonlyPartialJSONObject {
  if (!isObject(args)) {
    return {};
  }
  const kept = ['name', 'connectionId', 'new', 'proposal', 'screen', 'tab'].filter(
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
    delivery: DELIVERY_FORMS.find(item => item === data.delivery) ?? null,
    decision: text(data.decision),
    expiresAt: typeof expiresAt === 'string' && !Number.isNaN(Date.parse(expiresAt)) ? expiresAt : null,
    openers: (Array.isArray(openers) ? openers : []).map(text).filter(name => /^[a-z_]\w*$/i.test(name)),
    ended: data.ended === true
  };
}
