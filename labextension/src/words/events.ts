/**
 * The words for events in a connection's activity log.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { AuditEvent, DecisionKind } from '../contracts';
import type { Tone, Word } from '../ui/Pill';
import { decisionWord } from './decisions';
import { modeWords } from './modes';

/** What happened, in a few words, and how it went; `outcome` is `null` if there is nothing more to say. */
export function eventWords(event: AuditEvent, trans: TranslationBundle): { what: string; outcome: Word | null } {
  const what: { [type: string]: string } = {
    'vault:set_up': trans.__('vault set up'),
    'vault:unlocked': trans.__('vault unlocked'),
    'vault:unlock_refused': trans.__('unlock refused'),
    'vault:locked': trans.__('vault locked'),
    'vault:passphrase_changed': trans.__('passphrase changed'),
    'vault:upgraded': trans.__('vault upgraded from an earlier version'),
    'vault:rotated': trans.__('keys renewed'),
    'vault:moved': trans.__('connections moved to another store'),
    'slot:added': trans.__('key slot added'),
    'slot:removed': trans.__('key slot removed'),
    'slot:refused': trans.__('key slot or key change refused'),
    'slot:changed_outside': trans.__('key slots changed outside connvault'),
    'connection:created': trans.__('created'),
    'connection:changed': trans.__('changed'),
    'connection:edited': trans.__('changed outside connvault'),
    'connection:changed_in_project': projectWords(event, trans),
    'connection:confirmed': trans.__('reviewed and confirmed'),
    'connection:deleted': trans.__('deleted'),
    'connection:tested': trans.__('tested'),
    'connection:proposed': trans.__('suggested'),
    'connection:exported': trans.__('exported'),
    'connection:imported': trans.__('imported'),
    'secret:set': trans.__('secret set'),
    'secret:removed': trans.__('secret removed'),
    'secret:unreadable': trans.__('secret unreadable'),
    'secret:exported': trans.__('secret exported, encrypted'),
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

function projectWords({ code, field }: AuditEvent, trans: TranslationBundle): string {
  switch (code) {
    case 'workspace_gone':
      return trans.__('gone from the project');
    case 'workspace_unreadable':
      return trans.__("the project's file can't be read");
    default:
      return field ? trans.__('changed in the project: %1', field) : trans.__('changed in the project');
  }
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
    case 'connection:changed_in_project':
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
  if (event.mode) {
    const { word, tone } = modeWords(event.mode, trans);
    return { text: word, tone: consentTone(event, tone) };
  }
  return null;
}

/** Returns the usual colour, but not that of consent if a secret was revealed or the consent has ended. */
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

/** How long a decision holds, short enough for a pill in a row. */
function rowWord(decision: DecisionKind, trans: TranslationBundle): string {
  return decision === 'session' ? trans.__('this kernel') : decisionWord(decision, trans);
}
