import { beforeEach, describe, expect, test } from 'vitest';

import type { Screen } from '../../src/models/navigation';
import { screenOf } from '../../src/models/openArgs';
import { FakeConnvault, PROPOSAL_ID, vaultState } from '../support/records';

let connvault: FakeConnvault;

beforeEach(() => {
  connvault = new FakeConnvault();
});

describe('opening', () => {
  test.each([
    [{ name: 'warehouse', screen: 'secret' }, { name: 'detail', connectionId: 'c1', tab: 'details', asks: 'secret' }],
    [{ name: 'warehouse', screen: 'edit' }, { name: 'edit', connectionId: 'c1' }],
    [{ name: 'gone', screen: 'edit' }, { name: 'detail', connectionId: 'gone', tab: 'details' }],
    [{ screen: 'secret' }, null],
    [{}, null],
    [{ connectionId: 'c1' }, { name: 'detail', connectionId: 'c1', tab: 'details' }],
    [{ name: 'warehouse', tab: 'grants' }, { name: 'detail', connectionId: 'c1', tab: 'grants' }],
    [{ name: 'nothing', tab: 'odd' }, { name: 'detail', connectionId: 'nothing', tab: 'details' }],
    [{ new: true, name: 'sales' }, { name: 'picker' }],
    ...['prefill', 'fields', 'values', 'data', 'place', 'draft'].map(key => [
      { new: 'postgresql', name: 'sales', host: 'evil', port: 1, [key]: { host: 'evil', fields: { host: 'evil' } } },
      { name: 'create', providerId: 'postgresql' }
    ]),
    [{ new: 'nobody' }, { name: 'picker' }],
    [{ proposal: PROPOSAL_ID, name: 'x', new: 'postgresql', host: 'evil' }, { name: 'proposal', id: PROPOSAL_ID }],
    [{ proposal: { id: PROPOSAL_ID, fields: { host: 'evil' } } }, null],
    [{ proposal: 'proposal-short' }, null],
    [{ proposal: `${PROPOSAL_ID}/../connections` }, null],
    [{ screen: 'questions' }, { name: 'list' }],
    [{ screen: 'unlock' }, { name: 'list' }],
    [{ screen: 'setup' }, { name: 'list' }],
    [{ new: 7, connectionId: 7 }, { name: 'picker' }],
    [{ connectionId: 7, name: {} }, null]
  ] as [{ [name: string]: unknown }, Screen | null][])('%j leads to %j', (args, at) => {
    expect(screenOf(args, connvault)).toEqual(at);
  });

  test.each([
    ['locked', 'unlock', 'unlock'],
    ['absent', 'unlock', 'setup'],
    ['absent', 'setup', 'setup'],
    ['locked', 'setup', 'list']
  ] as const)('of a vault that is %s with %s leads to %s', (state, wanted, name) => {
    connvault.vault.state = vaultState({ state });
    expect(screenOf({ screen: wanted }, connvault)?.name).toBe(name);
  });
});
