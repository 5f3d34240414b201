import { act, fireEvent, screen } from '@testing-library/react';
import { beforeEach, describe, expect, test, vi } from 'vitest';

import { connvault, draw, navigation, press } from '../support/drawnPanel';
import { auditEvent, auditVerification, grantView, T0 } from '../support/records';

/** jsdom's Blob has no `text`. */
const textOf = (blob: Blob): Promise<string> =>
  new Promise(resolve => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.readAsText(blob);
  });

describe('who may use it, and what happened', () => {
  beforeEach(() => navigation.go({ name: 'detail', connectionId: 'c1', tab: 'details' }));

  test('tells with each permission how the secret travels, as far as that is still so', async () => {
    connvault.activity.grants = async () => [
      grantView(),
      grantView({ id: 'g2', mode: 'in_clear' }),
      grantView({ id: 'g3' }, { counts: false, reason_not: 'destination_changed' }),
      grantView({ id: 'g4', decision: 'deny_always' }),
      grantView({ id: 'g5' }, { counts: false, reason_not: 'changed' }),
      grantView({ id: 'g6', agent: 'claude' }),
      grantView({ id: 'g7' }, { agent_hidden: 'locked' })
    ];
    await draw();
    await press('connvault-tab-grants');
    const rows = [...document.querySelectorAll('.jp-connvault-grant small')].map(item => item.textContent);
    expect(rows[0]).toMatch(/^until kernel stops · brokered, hand-over · 3 uses/);
    expect(rows[1]).toMatch(/^until kernel stops · in the clear · 3 uses/);
    expect(rows[2]).toMatch(/^void: the destination was changed · brokered · 3 uses/);
    expect(rows[3]).not.toContain('brokered');
    expect(rows[4]).toMatch(/^void: the connection was changed · brokered · 3 uses/);
    expect(rows[5]).toContain('only for claude');
    expect(rows[6]).toContain('only for an agent (hidden while locked)');
  });

  test('lists who may use it, and takes it back', async () => {
    connvault.activity.grants = async () => [
      grantView(),
      grantView({ id: 'g2', decision: 'deny_always', requester_label: 'scratch.ipynb' }, { uses: 0, last_used_at: null }),
      grantView({ id: 'g3', decision: 'always' }, { counts: false, reason_not: 'destination_changed' })
    ];
    await draw();
    expect(screen.getByTestId('connvault-tab-grants').textContent).toBe('Who may use it · 2');
    await press('connvault-tab-grants');
    const panel = screen.getByRole('tabpanel');
    expect(panel.textContent).toContain('until kernel stops · brokered, hand-over · 3 uses');
    expect(panel.textContent).toContain('void: the destination was changed');
    expect(screen.getByTestId('connvault-revoke-g2').textContent).toBe('Undo');
    await press('connvault-revoke-g1');
    expect(connvault.calls).toContainEqual(['revoke', 'g1']);
  });

  test('"Revoke all" leaves what was said never', async () => {
    connvault.activity.grants = async () => [grantView(), grantView({ id: 'g2', decision: 'deny_always' })];
    await draw();
    await press('connvault-tab-grants');
    await press('connvault-revoke-all');
    expect(connvault.calls.filter(([name]) => name === 'revoke')).toEqual([['revoke', 'g1']]);
  });

  test('tells that code said something where that can not be shown, and how often it was refused', async () => {
    connvault.activity.events = async () => ({
      events: [
        auditEvent({ sequence: 3, type: 'access:refused', outcome: 'refused', requester_label: null, connection: null, count: 412 }),
        auditEvent({ sequence: 2, claims_hidden: 'locked' }),
        auditEvent({ sequence: 1, claims_hidden: 'unreadable' })
      ],
      next_before: null
    });
    await draw();
    await press('connvault-tab-activity');
    const rows = [...document.querySelectorAll('[role=tabpanel] li')].map(item => item.textContent);
    expect(rows[0]).toMatch(/processes outside kernels · asked ×412refused/);
    expect(rows[1]).toContain('what the code said: (hidden while locked)');
    expect(rows[2]).toContain('what the code said: (can’t be read)');
  });

  test.each([
    ['0', 'jsonl', null, /^connvault-activity-\d{4}-\d\d-\d\d\.jsonl$/],
    ['3', 'csv', 'c1', /^connvault-activity-warehouse-\d{4}-\d\d-\d\d\.csv$/]
  ])('saves the activity log as a file (%s)', async (kind, format, connectionId, name) => {
    const saved: { name: string; content: Promise<string> }[] = [];
    let made: Blob | undefined;
    vi.stubGlobal('URL', { ...URL, createObjectURL: (blob: Blob) => ((made = blob), 'blob:x'), revokeObjectURL: () => undefined });
    const click = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (this: HTMLAnchorElement) {
      saved.push({ name: this.download, content: textOf(made!) });
    });
    try {
      await draw();
      await press('connvault-tab-activity');
      await press('connvault-export-open');
      fireEvent.change(screen.getByTestId('connvault-export-kind'), { target: { value: kind } });
      await press('connvault-export');
    } finally {
      click.mockRestore();
      vi.unstubAllGlobals();
    }
    expect(connvault.calls).toContainEqual(['export', format, connectionId]);
    expect(saved).toHaveLength(1);
    expect(saved[0].name).toMatch(name);
    expect(await saved[0].content).toBe('a line\nanother\n');
    expect(screen.queryByTestId('connvault-export-open')).not.toBeNull();
  });

  test('an export that fails is told, and another tab ends it', async () => {
    connvault.activity.export = () => Promise.reject(new Error('The oldest events were removed in the meantime.'));
    await draw();
    await press('connvault-tab-activity');
    await press('connvault-export-open');
    await press('connvault-export');
    expect(screen.getByTestId('connvault-detail').textContent).toContain('The oldest events were removed');
    await press('connvault-export-open');
    await press('connvault-tab-grants');
    expect(screen.queryByTestId('connvault-export')).toBeNull();
  });

  test.each([
    [{ failing_since: T0, lost: 0, refused: 0 }, /events\. Not sent to unix:\/dev\/log since /],
    [{ failing_since: null, lost: 2, refused: 1 }, /events\. 3 events did not get to unix:\/dev\/log$/],
    [{ failing_since: null, lost: 0, refused: 0 }, /events$/]
  ])('tells what of the activity log did not get to where it is sent (%#)', async (state, words) => {
    connvault.activity.verify = async () =>
      auditVerification({ stream: { destination: 'unix:/dev/log', sent: 4, ...state } });
    await draw();
    await press('connvault-tab-activity');
    expect(screen.getByTestId('connvault-record').textContent).toMatch(words);
  });

  test('tells who, what, when and how it went', async () => {
    connvault.activity.events = async () => ({
      events: [
        auditEvent({ sequence: 7 }),
        auditEvent({ sequence: 6, type: 'access:checked' }),
        auditEvent({ sequence: 5, type: 'access:asked', question_id: 'q2', requester_label: 'open.ipynb' }),
        auditEvent({ sequence: 4, type: 'access:granted', question_id: 'q1', reason_claim: 'monthly\u202e report' }),
        auditEvent({ sequence: 3, type: 'access:asked', question_id: 'q1' }),
        auditEvent({ sequence: 2, type: 'access:denied', decision: 'deny', requester_label: 'etl.ipynb' }),
        auditEvent({ sequence: 1, type: 'connection:created', requester_label: null, decision: null, mode: null })
      ],
      next_before: null
    });
    await draw();
    await press('connvault-tab-activity');
    const rows = [...document.querySelectorAll('[role=tabpanel] li')].map(item => item.textContent);
    expect(rows).toHaveLength(5);
    expect(rows[0]).toMatch(/first_steps\.ipynb · used ×2this timebrokered$/);
    expect(rows[1]).toMatch(/open\.ipynb · askedwaiting/);
    expect(rows[2]).toContain('“monthly report”');
    expect(rows[3]).toMatch(/etl\.ipynb · askeddenied/);
    expect(rows[4]).toMatch(/you · created/);
    expect(screen.getByTestId('connvault-record').textContent).toBe('Activity log consistent, 214 events');
  });

  test('tells a test that failed once', async () => {
    const tested = { type: 'connection:tested', requester_label: null, decision: null, mode: null } as const;
    connvault.activity.events = async () => ({
      events: [auditEvent({ ...tested, sequence: 2, outcome: 'failed' }), auditEvent({ ...tested, sequence: 1 })],
      next_before: null
    });
    await draw();
    await press('connvault-tab-activity');
    const rows = [...document.querySelectorAll('[role=tabpanel] li')].map(item => item.textContent);
    expect(rows).toEqual([expect.stringMatching(/you · testedfailed$/)]);
  });

  test('shows older rows when they are asked for', async () => {
    connvault.activity.events = async (_?: unknown, before?: unknown) =>
      before === undefined
        ? { events: [auditEvent({ sequence: 2 })], next_before: 2 as never }
        : { events: [auditEvent({ sequence: 1, type: 'connection:created' })], next_before: null };
    await draw();
    await press('connvault-tab-activity');
    await act(async () => {
      fireEvent.click(screen.getByText('Show older'));
    });
    expect(document.querySelectorAll('[role=tabpanel] li')).toHaveLength(2);
  });

  test('says that the record was changed', async () => {
    connvault.activity.verify = async () => auditVerification({ consistent: false, broken_at: 7 });
    await draw();
    await press('connvault-tab-activity');
    expect(screen.getByTestId('connvault-record').textContent).toContain('at event 7');
  });
});
