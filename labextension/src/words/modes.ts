/**
 * The words for how a secret travels: through the broker, through the notebook's process, or as plain text.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { DeliveryForm, Mode, ProviderDefinition, Question } from '../contracts';
import { fileName } from '../foreignText';
import type { IconName } from '../ui/icons';
import type { Tone } from '../ui/Pill';

interface ModeWords {
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

/** How the secret travels, in a word or two: the mode and, for a brokered one, the delivery if it is known. */
export function howWord(mode: Mode, delivery: DeliveryForm | null, trans: TranslationBundle): string {
  if (mode === 'brokered' && delivery === 'hand_over') {
    return trans.__('brokered, hand-over');
  }
  if (mode === 'brokered' && delivery === 'relay') {
    return trans.__('brokered, relay');
  }
  return modeWords(mode, trans).word;
}

/** What there is to add about a delivery after the mode's own sentence; `''` if nothing. */
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
  // For a database, everybody calls the secret a password.
  if (provider?.category === 'database') {
    return isNotebook
      ? trans.__('connvault logs in; the password never enters the notebook.')
      : trans.__('connvault logs in; the password never enters this process.');
  }
  return isNotebook
    ? trans.__('connvault logs in; the secret never enters the notebook.')
    : trans.__('connvault logs in; the secret never enters this process.');
}
