import { expect, test } from 'vitest';

import { eventWords } from '../../src/words/events';
import { auditEvent, trans } from '../support/records';

test.each([
  ['access:used', 'brokered', 'once', 'ok'],
  ['access:granted', 'brokered', 'always', 'ok'],
  ['access:revealed', 'reveal', 'once', 'err'],
  ['access:revealed', 'reveal', null, 'err'],
  ['grant:revoked', 'brokered', 'session', 'mute'],
  ['grant:revoked', 'brokered', null, 'mute'],
  ['grant:voided', 'brokered', 'always', 'mute']
] as const)('what happened as %s, %s, decided %s, is told in the tone %s', (type, mode, decision, tone) => {
  expect(eventWords(auditEvent({ type, mode, decision }), trans).outcome?.tone).toBe(tone);
});

test('an edit from outside is told as what it is', () => {
  expect(eventWords(auditEvent({ type: 'connection:edited', outcome: 'failed' }), trans)).toEqual({
    what: 'changed outside connvault',
    outcome: { text: 'not used', tone: 'err' }
  });
});

test.each([
  ['workspace_changed', 'host, user', 'changed in the project: host, user'],
  ['workspace_changed', null, 'changed in the project'],
  ['workspace_gone', null, 'gone from the project'],
  ['workspace_unreadable', null, "the project's file can't be read"]
] as const)('a pulled change, %s of %s, is told as what it is', (code, field, what) => {
  const event = auditEvent({ type: 'connection:changed_in_project', outcome: 'failed', code, field });
  expect(eventWords(event, trans)).toEqual({ what, outcome: { text: 'not used', tone: 'err' } });
});
