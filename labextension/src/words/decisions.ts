/**
 * The words for who asks, what was answered, for how long, and why an answer no longer counts.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { DecisionKind, Duration, GrantView, Hidden, RequesterKind } from '../contracts';
import type { IconName } from '../ui/icons';
import { length } from './times';

export function requesterIcon(kind: RequesterKind | null | undefined): IconName {
  return kind === 'notebook' || kind === 'console' ? 'notebook' : kind === 'script' ? 'code' : 'process';
}

/** A duration as it is offered to a requester of this `kind`. */
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

/** How long a stored decision holds, in a few words. */
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

/** Why a stored decision does not count (any more); `''` if it does. */
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

/** Stands in for what code said about itself, if that can't be shown. */
export function hiddenWord(why: Hidden, trans: TranslationBundle): string {
  return why === 'locked' ? trans.__('(hidden while locked)') : trans.__('(can’t be read)');
}
