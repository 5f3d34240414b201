import { expect, test } from 'vitest';

import { statusWord } from '../../src/words/status';
import { connectionView, FAILED_TEST, trans } from '../support/records';

test.each([
  ['ready', null, 'unlocked', 'Ready'],
  ['ready', null, 'locked', 'Locked'],
  ['draft', 'secret_missing', 'unlocked', 'Needs password'],
  ['draft', 'destination_changed', 'unlocked', 'Needs password'],
  ['draft', 'fields_missing', 'unlocked', 'Draft'],
  ['draft', 'provider_missing', 'locked', 'Draft'],
  ['invalid', 'secret_unreadable', 'unlocked', 'Replace secret'],
  ['invalid', 'provider_changed', 'unlocked', 'Draft'],
  ['invalid', 'edited', 'unlocked', 'Changed outside'],
  ['draft', 'unconfirmed', 'unlocked', 'Not confirmed']
] as const)('%s with %s in a vault that is %s is called %s', (status, status_reason, vault, word) => {
  expect(statusWord({ connection: { status, status_reason }, last_test: null }, vault, trans).text).toBe(word);
});

test.each([
  ['ready', 'unlocked', true, 'Ready', 'ok'],
  ['ready', 'unlocked', false, 'Test failed', 'warn'],
  ['ready', 'locked', false, 'Locked', 'mute'],
  ['draft', 'unlocked', false, 'Draft', 'mute']
] as const)('%s in a vault that is %s, its last test ok: %s, is called %s', (status, vault, ok, text, tone) => {
  const view = connectionView({ status }, { last_test: { ...FAILED_TEST, ok } });
  expect(statusWord(view, vault, trans)).toEqual({ text, tone });
});
