/**
 * The words for states, modes and events. One word an idea, the same everywhere.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type {
  AuditEvent,
  Connection,
  ConnectionView,
  DecisionKind,
  Duration,
  GrantView,
  Hidden,
  Mode,
  ProviderDefinition,
  Question,
  RequesterKind,
  VaultState,
  DeliveryForm
} from '../contracts';
import { revealOnly } from '../form/schema';
import { fileName } from '../foreignText';
import type { IconName } from '../icons';
import { length } from '../times';

export type Tone = 'ok' | 'warn' | 'err' | 'mute';

export interface Word {
  text: string;
  tone: Tone;
}

/** The state of a connection in one word. One that is complete is not called ready while its last test failed. */
export function statusWord(
  { connection, last_test }: { connection: Pick<Connection, 'status' | 'status_reason'> } & Pick<ConnectionView, 'last_test'>,
  vault: VaultState['state'] | undefined,
  trans: TranslationBundle
): Word {
  if (connection.status_reason === 'edited') {
    return { text: trans.__('Changed outside'), tone: 'err' };
  }
  if (connection.status_reason === 'unconfirmed') {
    return { text: trans.__('Not confirmed'), tone: 'warn' };
  }
  if (connection.status === 'invalid') {
    return connection.status_reason === 'secret_unreadable'
      ? { text: trans.__('Replace secret'), tone: 'err' }
      : { text: trans.__('Draft'), tone: 'err' };
  }
  if (connection.status === 'draft') {
    return connection.status_reason === 'secret_missing' || connection.status_reason === 'destination_changed'
      ? { text: trans.__('Needs password'), tone: 'warn' }
      : { text: trans.__('Draft'), tone: 'mute' };
  }
  if (vault === 'locked') {
    return { text: trans.__('Locked'), tone: 'mute' };
  }
  return last_test?.ok === false
    ? { text: trans.__('Test failed'), tone: 'warn' }
    : { text: trans.__('Ready'), tone: 'ok' };
}

/** Whether a secret is what has to be entered before the connection can be used. */
export function lacksSecret({ status_reason }: Pick<Connection, 'status_reason'>): boolean {
  return status_reason === 'secret_missing' || status_reason === 'destination_changed' || status_reason === 'secret_unreadable';
}

/** Whether code may ask for its secrets as plain text: where they are good for more, connection and server must allow it. */
export function mayBeRevealed(
  { connection }: Pick<ConnectionView, 'connection'>,
  provider: ProviderDefinition | undefined,
  allowedByServer: boolean
): boolean {
  return revealOnly(provider) || (allowedByServer && connection.reveal_allowed);
}

/** What it means that this page can't seal what is typed. */
export function notSealedAdvice(trans: TranslationBundle): string {
  return trans.__(
    'This page is not on a secure origin (https or localhost): the Jupyter server, and anyone on the network path to it, can read what you type.'
  );
}

/** Whether the row is not connvault's own, or nobody knows: nothing of it counts until a person has looked through it. */
export function isForeign({ status_reason }: Pick<Connection, 'status_reason'>): boolean {
  return status_reason === 'edited' || status_reason === 'unconfirmed';
}

/** What has to be done before the connection can be used; `''` when nothing. */
export function statusAdvice(view: ConnectionView, trans: TranslationBundle): string {
  switch (view.connection.status_reason) {
    case 'secret_missing':
      return trans.__('The password or token is missing. Enter it so that notebooks can use this connection.');
    case 'destination_changed':
      return trans.__('The destination was changed. Enter the secret again for the new one.');
    case 'secret_unreadable':
      return trans.__("The stored secret can no longer be read. Replace it; nothing else is lost.");
    case 'fields_missing':
      return trans.__('Some fields are still empty. Edit the connection to fill them in.');
    case 'provider_missing':
      return trans.__('The package that provides this kind of connection is not installed. Install it, or delete the connection.');
    case 'provider_changed':
      return trans.__('This kind of connection has changed. Edit the connection and check its fields.');
    case 'edited':
      return trans.__(
        'This connection was changed outside connvault. It is not used until you review it, save it and enter its secret again.'
      );
    case 'unconfirmed':
      return trans.__(
        'This connection was saved while the vault was locked, or changed outside connvault. Review it and save it again, or enter its secret.'
      );
    default:
      return '';
  }
}

export interface ModeWords {
  icon: IconName;
  tone: Tone;
  word: string;
  sentence: string;
}

/** How the secret travels. */
export function modeWords(mode: Mode, trans: TranslationBundle): ModeWords {
  switch (mode) {
    case 'brokered':
      return {
        icon: 'shield',
        tone: 'ok',
        word: trans.__('brokered'),
        sentence: trans.__('connvault logs in; the secret never enters the notebook.')
      };
    case 'in_clear':
      return {
        icon: 'eye',
        tone: 'warn',
        word: trans.__('in the clear'),
        sentence: trans.__("The secret passes through the notebook's process.")
      };
    case 'reveal':
      return {
        icon: 'eye',
        tone: 'err',
        word: trans.__('plain text'),
        sentence: trans.__('Code can read, print and copy it. You are asked each time.')
      };
  }
}

/** How the secret travels, in a word or two: the mode, and of what is brokered the delivery, where that is known. */
export function howWord(mode: Mode, delivery: DeliveryForm | null, trans: TranslationBundle): string {
  if (mode === 'brokered' && delivery === 'hand_over') {
    return trans.__('brokered, hand-over');
  }
  if (mode === 'brokered' && delivery === 'relay') {
    return trans.__('brokered, relay');
  }
  return modeWords(mode, trans).word;
}

/** What more there is to say about a delivery, after the mode's own sentence; `''` where that says it all. */
export function deliveryAdvice(mode: Mode, delivery: DeliveryForm | null, trans: TranslationBundle): string {
  if (mode === 'brokered' && delivery === 'hand_over') {
    return trans.__('It then hands over the open connection, so queries are as fast as without connvault.');
  }
  if (mode === 'brokered' && delivery === 'relay') {
    return trans.__('What code sends and receives goes through connvault.');
  }
  return '';
}

/** The line of a question that says how the secret travels. */
export function questionHow(
  question: Question,
  provider: ProviderDefinition | undefined,
  trans: TranslationBundle
): { lead: string; text: string; more: string } {
  const isNotebook = question.requester.kind === 'notebook';
  switch (question.mode) {
    case 'brokered':
      return { lead: trans.__('Brokered:'), text: brokeredSentence(isNotebook, provider, trans), more: '' };
    case 'in_clear':
      return {
        lead: trans.__('In the clear:'),
        text: isNotebook
          ? trans.__("the secret passes through this notebook's process.")
          : trans.__("the secret passes through this process's memory."),
        more: ''
      };
    case 'reveal':
      return {
        lead: trans.__('Plain text.'),
        text: trans.__('Code in %1 will be able to read, print and copy the secret.', fileName(question.requester.label)),
        more: trans.__('Anyone who can read the output, or the file it is saved in, can read the secret too.')
      };
  }
}

function brokeredSentence(isNotebook: boolean, provider: ProviderDefinition | undefined, trans: TranslationBundle): string {
  // What a person logs in to a database with is called a password everywhere.
  if (provider?.category === 'database') {
    return isNotebook
      ? trans.__('connvault logs in; the password never enters the notebook.')
      : trans.__('connvault logs in; the password never enters this process.');
  }
  return isNotebook
    ? trans.__('connvault logs in; the secret never enters the notebook.')
    : trans.__('connvault logs in; the secret never enters this process.');
}

export function requesterIcon(kind: RequesterKind | null | undefined): IconName {
  return kind === 'notebook' || kind === 'console' ? 'notebook' : kind === 'script' ? 'code' : 'process';
}

/** A duration as it is offered to `kind`. */
export function durationWord(
  duration: Duration,
  forSeconds: number,
  kind: RequesterKind,
  trans: TranslationBundle
): string {
  const hasKernel = kind === 'notebook' || kind === 'console';
  switch (duration) {
    case 'once':
      return trans.__('This time');
    case 'session':
      return hasKernel ? trans.__('Until kernel stops') : trans.__('Until it ends');
    case 'for':
      return length(forSeconds, trans);
    case 'always':
      return kind === 'notebook' ? trans.__('Always, this notebook') : trans.__('Always, this script');
  }
}

/** How long a stored decision holds, in one word. */
export function decisionWord(decision: DecisionKind, trans: TranslationBundle): string {
  switch (decision) {
    case 'once':
      return trans.__('this time');
    case 'session':
      return trans.__('until kernel stops');
    case 'for':
      return trans.__('for a while');
    case 'always':
      return trans.__('always');
    case 'deny':
      return trans.__('denied');
    case 'deny_always':
      return trans.__('never');
  }
}

/** The same, short enough for a pill in a row. */
function rowWord(decision: DecisionKind, trans: TranslationBundle): string {
  return decision === 'session' ? trans.__('this kernel') : decisionWord(decision, trans);
}

/** Why a stored decision does not count (any more); `''` when it does. */
export function grantTrouble(view: GrantView, trans: TranslationBundle): string {
  switch (view.reason_not) {
    case 'forged':
      return trans.__('not valid: it was changed outside connvault');
    case 'expired':
      return trans.__('expired');
    case 'destination_changed':
      return trans.__('void: the destination was changed');
    case 'changed':
      return trans.__('void: the connection was changed');
    case 'ended':
      return trans.__('ended: the kernel stopped');
    default:
      return '';
  }
}

/** Stands for what code said of itself where that can't be shown. */
export function hiddenWord(why: Hidden, trans: TranslationBundle): string {
  return why === 'locked' ? trans.__('(hidden while locked)') : trans.__('(can’t be read)');
}

/** What happened, in one word, and how it went; `null` when there is no more to say than that it did. */
export function eventWords(event: AuditEvent, trans: TranslationBundle): { what: string; outcome: Word | null } {
  const what: { [type: string]: string } = {
    'vault:set_up': trans.__('vault set up'),
    'vault:unlocked': trans.__('vault unlocked'),
    'vault:unlock_refused': trans.__('unlock refused'),
    'vault:locked': trans.__('vault locked'),
    'vault:passphrase_changed': trans.__('passphrase changed'),
    'vault:upgraded': trans.__('vault upgraded from an earlier version'),
    'connection:created': trans.__('created'),
    'connection:changed': trans.__('changed'),
    'connection:edited': trans.__('changed outside connvault'),
    'connection:confirmed': trans.__('reviewed and confirmed'),
    'connection:deleted': trans.__('deleted'),
    'connection:tested': trans.__('tested'),
    'connection:proposed': trans.__('suggested'),
    'secret:set': trans.__('secret set'),
    'secret:removed': trans.__('secret removed'),
    'secret:unreadable': trans.__('secret unreadable'),
    'access:asked': trans.__('asked'),
    'access:granted': trans.__('allowed'),
    'access:denied': trans.__('asked'),
    'access:expired': trans.__('asked'),
    'access:withdrawn': trans.__('asked'),
    'access:interrupted': trans.__('asked'),
    'access:refused': trans.__('asked'),
    'access:used': trans.__('used'),
    'access:checked': trans.__('used'),
    'access:revealed': trans.__('revealed'),
    'access:released': trans.__('released'),
    'access:masked': trans.__('returned by the service, masked'),
    'grant:revoked': trans.__('permission revoked'),
    'grant:voided': trans.__('permission void'),
    'grant:carried_over': trans.__('permission kept after an update'),
    'audit:pruned': trans.__('old events removed')
  };
  return { what: what[event.type] ?? event.type.replace(/[:_]/g, ' '), outcome: outcomeWord(event, trans) };
}

function outcomeWord(event: AuditEvent, trans: TranslationBundle): Word | null {
  switch (event.type) {
    case 'access:asked':
      return { text: trans.__('waiting'), tone: 'mute' };
    case 'access:granted':
      return { text: event.decision ? rowWord(event.decision, trans) : trans.__('allowed'), tone: 'ok' };
    case 'access:denied':
      return { text: event.decision === 'deny_always' ? trans.__('never') : trans.__('denied'), tone: 'err' };
    case 'access:expired':
      return { text: trans.__('no answer'), tone: 'warn' };
    case 'access:withdrawn':
      return { text: trans.__('withdrawn'), tone: 'mute' };
    case 'access:interrupted':
      return { text: trans.__('interrupted'), tone: 'mute' };
    case 'access:refused':
      return { text: trans.__('refused'), tone: 'err' };
    case 'connection:edited':
      return { text: trans.__('not used'), tone: 'err' };
    default:
  }
  if (event.outcome === 'failed') {
    return { text: trans.__('failed'), tone: 'err' };
  }
  if (event.outcome === 'refused') {
    return { text: trans.__('refused'), tone: 'err' };
  }
  if (event.type === 'connection:tested') {
    return { text: trans.__('passed'), tone: 'ok' };
  }
  if (event.decision) {
    return { text: rowWord(event.decision, trans), tone: consentTone(event, 'ok') };
  }
  return event.mode ? { text: modeWords(event.mode, trans).word, tone: consentTone(event, modeTone(event.mode)) } : null;
}

/** The usual colour, but not that of consent where a secret came out, or where the consent is over. */
function consentTone({ type }: AuditEvent, usual: Tone): Tone {
  switch (type) {
    case 'access:revealed':
      return 'err';
    case 'grant:revoked':
    case 'grant:voided':
      return 'mute';
    default:
      return usual;
  }
}

function modeTone(mode: Mode): Tone {
  return mode === 'brokered' ? 'ok' : mode === 'in_clear' ? 'warn' : 'err';
}

export function custodianWord(state: VaultState, trans: TranslationBundle): string {
  return state.custodian === 'passphrase' ? trans.__('passphrase') : state.custodian_label;
}
