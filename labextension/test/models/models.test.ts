import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Event as ConnvaultEvent } from '../../src/contracts';
import type { EventStream } from '../../src/events';
import { ActivityModel } from '../../src/models/activity';
import { ConnectionsModel } from '../../src/models/connections';
import { EventModel } from '../../src/models/eventModel';
import { QuestionsModel } from '../../src/models/questions';
import { VaultModel } from '../../src/models/vault';
import type { RestApi } from '../../src/restapi';
import { ProblemError } from '../../src/errors';
import type { Questions } from '../../src/validate';
import { connectionView, provider, question, vaultState } from '../support/records';

class FakeStream {
  readonly received = new Signal<FakeStream, ConnvaultEvent>(this);
  readonly opened = new Signal<FakeStream, void>(this);
}

let stream: FakeStream;
const events = (): EventStream => stream as unknown as EventStream;
const settle = async (): Promise<void> => {
  for (let count = 0; count < 10; count++) {
    await Promise.resolve();
  }
};

beforeEach(() => {
  stream = new FakeStream();
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
});
afterEach(() => vi.restoreAllMocks());

describe('the questions', () => {
  let pending: Questions;
  let answers: unknown[][];
  let refusal: Error | null;
  let now: number;
  let model: QuestionsModel;

  beforeEach(() => {
    pending = { items: [question()], unreadable: [] };
    answers = [];
    refusal = null;
    now = 1_000;
    const api = {
      listAccessRequests: async () => structuredClone(pending),
      decide: async (...args: unknown[]) => {
        answers.push(args);
        if (refusal) {
          throw refusal;
        }
        return { id: args[0], decision: args[1] };
      }
    } as unknown as RestApi;
    model = new QuestionsModel({ api, events: events(), now: () => now });
  });

  test('that wait are fetched when the stream opens', async () => {
    stream.opened.emit();
    await settle();
    expect(model.items.map(item => item.question.id)).toEqual(['q1']);
  });

  test('end when the broker says, counted from when they were asked for', async () => {
    await model.refresh();
    expect(model.items[0].endsAt).toBe(61_000);
  });

  test('keep their object and their end while nothing of them changes', async () => {
    await model.refresh();
    const [before] = model.items;
    now = 31_000;
    pending = { items: [question({ remaining_ms: 30_005 })], unreadable: [] };
    await model.refresh();
    expect(model.items[0]).toBe(before);
  });

  test('are new ones when their digest changes', async () => {
    await model.refresh();
    const [before] = model.items;
    pending = { items: [question({ digest: 'c'.repeat(64), destination: 'elsewhere' })], unreadable: [] };
    await model.refresh();
    expect(model.items[0]).not.toBe(before);
    expect(model.items[0].question.destination).toBe('elsewhere');
  });

  test('show what the code says once the vault is unlocked', async () => {
    pending = { items: [question({ reasons: [], claims_hidden: 'locked' })], unreadable: [] };
    await model.refresh();
    pending = { items: [question({ reasons: ['monthly report'] })], unreadable: [] };
    stream.received.emit({ event: 'vault:changed', id: null });
    await settle();
    expect(model.items[0].question.reasons).toEqual(['monthly report']);
  });

  test('are oldest first', async () => {
    pending = {
      items: [question({ id: 'late', asked_at: '2026-11-24T09:00:05Z' }), question({ id: 'early' })],
      unreadable: []
    };
    await model.refresh();
    expect(model.items.map(item => item.question.id)).toEqual(['early', 'late']);
  });

  test('go at once when they are resolved', async () => {
    await model.refresh();
    stream.received.emit({ event: 'access_request:resolved', id: 'q1' });
    expect(model.items).toEqual([]);
  });

  test('that are resolved while the list is on its way do not come back with it', async () => {
    const loading = model.refresh();
    stream.received.emit({ event: 'access_request:resolved', id: 'q1' });
    await loading;
    expect(model.items).toEqual([]);
  });

  test('are answered with the digest of what was shown, and go', async () => {
    await model.refresh();
    expect(await model.decide(question(), 'session')).toBe('decided');
    expect(answers).toEqual([['q1', 'session', 'a'.repeat(64), undefined]]);
    expect(model.items).toEqual([]);
  });

  test('answered for a while say for how long', async () => {
    await model.refresh();
    await model.decide(question(), 'for');
    expect(answers[0][3]).toBe(28800);
  });

  test('that changed meanwhile are fetched anew', async () => {
    await model.refresh();
    refusal = new ProblemError('access_request_changed', 'changed', 409);
    pending = { items: [question({ digest: 'c'.repeat(64) })], unreadable: [] };
    expect(await model.decide(question(), 'once')).toBe('changed');
    expect(model.items[0].question.digest).toBe('c'.repeat(64));
  });

  test.each([
    ['access_request_not_found', 404],
    ['access_request_decided', 409]
  ])('refused with %s are gone', async (code, status) => {
    await model.refresh();
    refusal = new ProblemError(code, 'x', status);
    expect(await model.decide(question(), 'once')).toBe('gone');
    expect(model.items).toEqual([]);
  });

  test('stay when the answer could not be sent', async () => {
    await model.refresh();
    refusal = new ProblemError('server_unreachable', 'x', 0);
    await expect(model.decide(question(), 'once')).rejects.toBe(refusal);
    expect(model.items).toHaveLength(1);
  });

  test('that cannot be read are denied, once', async () => {
    pending = { items: [], unreadable: [{ id: 'odd', digest: 'd' }, { id: '', digest: '' }] };
    await model.refresh();
    await model.refresh();
    expect(answers).toEqual([['odd', 'deny', 'd']]);
    expect(model.refused).toBe(2);
  });

  test('no longer listen when disposed', async () => {
    model.dispose();
    stream.opened.emit();
    await settle();
    expect(model.items).toEqual([]);
  });
});

describe('the connections', () => {
  let lists: number;
  let failing: Error | null;
  let model: ConnectionsModel;

  beforeEach(() => {
    lists = 0;
    failing = null;
    const api = {
      listProviders: async () => ({ providers: [provider()], skipped: [], unreadable: 1 }),
      listConnections: async () => {
        lists++;
        if (failing) {
          throw failing;
        }
        return { items: [connectionView({ id: 'c2', name: 'zeta' }), connectionView()], unreadable: 2 };
      },
      createConnection: async () => connectionView({ id: 'c3', name: 'alpha' }),
      deleteConnection: async () => undefined,
      testConnection: async () => ({ ok: true })
    } as unknown as RestApi;
    model = new ConnectionsModel({ api, events: events() });
  });

  test('are listed by name, with what could not be read', async () => {
    await model.refresh();
    expect(model.items.map(item => item.connection.name)).toEqual(['warehouse', 'zeta']);
    expect(model.unreadable).toBe(3);
    expect(model.isReady).toBe(true);
  });

  test('are found by id and by name', async () => {
    await model.refresh();
    expect(model.get('c1')).toBe(model.get('warehouse'));
    expect(model.get('nothing')).toBeUndefined();
  });

  test('stay on show when the server does not answer, and it is said', async () => {
    await model.refresh();
    failing = new ProblemError('server_unreachable', 'No answer.', 0);
    await model.refresh();
    expect(model.items).toHaveLength(2);
    expect(model.trouble).toBe('No answer.');
    failing = null;
    await model.refresh();
    expect(model.trouble).toBe('');
  });

  test('are fetched again when they changed', async () => {
    stream.received.emit({ event: 'connections:changed', id: 'c1' });
    stream.received.emit({ event: 'vault:changed', id: null });
    await settle();
    expect(lists).toBe(1);
  });

  test('a new one is in the list at once', async () => {
    await model.refresh();
    await model.create({ provider_id: 'postgresql', name: 'alpha' });
    expect(model.items.map(item => item.connection.name)).toEqual(['alpha', 'warehouse', 'zeta']);
  });

  test('a deleted one is gone at once', async () => {
    await model.refresh();
    await model.remove('c1', 3);
    expect(model.get('c1')).toBeUndefined();
  });
});

describe('the vault', () => {
  test('is read when the stream opens and when it changed', async () => {
    let state = vaultState({ state: 'locked' });
    const model = new VaultModel({ api: { getVault: async () => state } as unknown as RestApi, events: events() });
    expect(model.state).toBeNull();
    stream.opened.emit();
    await settle();
    expect(model.state?.state).toBe('locked');
    state = vaultState();
    stream.received.emit({ event: 'vault:changed', id: null });
    await settle();
    expect(model.state?.state).toBe('unlocked');
  });

  test('keeps no passphrase', async () => {
    const api = { unlockVault: async () => vaultState() } as unknown as RestApi;
    const model = new VaultModel({ api, events: events() });
    await model.unlock('hunter2-canary');
    expect(JSON.stringify(model.state)).not.toContain('hunter2-canary');
  });
});

describe('who may use what, and what happened', () => {
  let model: ActivityModel;
  let changes: number;

  beforeEach(() => {
    model = new ActivityModel({ api: { revokeGrant: async () => undefined } as unknown as RestApi, events: events() });
    changes = 0;
    model.changed.connect(() => changes++);
  });

  test.each(['audit:changed', 'grants:changed'] as const)('is another after %s', event => {
    stream.received.emit({ event, id: null });
    expect(changes).toBe(1);
  });

  test('may be another when the stream opens again', () => {
    stream.opened.emit();
    expect(changes).toBe(1);
  });

  test('is another after a permission was revoked', async () => {
    await model.revoke('g1');
    expect(changes).toBe(1);
  });

  test('is exported piece by piece, to where it ended at the beginning', async () => {
    const parts = [
      { text: 'a', last: 9, next_after: 4 },
      { text: 'b', last: 9, next_after: 7 },
      { text: 'c', last: 9, next_after: null }
    ];
    const asked: unknown[] = [];
    const exportAudit = async (...given: unknown[]) => (asked.push(given), parts[(asked.length - 1) % 3]);
    const exporting = new ActivityModel({ api: { exportAudit } as unknown as RestApi, events: events() });
    expect(await exporting.export('csv', 'c1')).toEqual(['a', 'b', 'c']);
    expect(await exporting.export('jsonl', null)).toEqual(['a', 'b', 'c']);
    expect(asked).toEqual([
      ['csv', { connectionId: 'c1' }],
      ['csv', { connectionId: 'c1', last: 9, after: 4 }],
      ['csv', { connectionId: 'c1', last: 9, after: 7 }],
      ['jsonl', {}],
      ['jsonl', { last: 9, after: 4 }],
      ['jsonl', { last: 9, after: 7 }]
    ]);
  });

  test('is not touched by other events', () => {
    stream.received.emit({ event: 'vault:changed', id: null });
    expect(changes).toBe(0);
  });
});

describe('a model that follows the events', () => {
  class Counting extends EventModel {
    protected readonly refreshedBy = new Set(['vault:changed'] as const);
    running = 0;
    most = 0;
    runs = 0;

    protected async load(): Promise<void> {
      this.runs++;
      this.running++;
      this.most = Math.max(this.most, this.running);
      await settle();
      this.running--;
      this.tellChanged();
    }
  }

  const made = (): Counting => new Counting({ api: {} as RestApi, events: events() });

  test('loads twice for a burst, the second time after the first', async () => {
    const model = made();
    await Promise.all(Array.from({ length: 20 }, () => model.refresh()));
    expect([model.runs, model.most]).toEqual([2, 1]);
  });

  test('hears nothing once it is disposed', async () => {
    const model = made();
    model.dispose();
    stream.opened.emit();
    stream.received.emit({ event: 'vault:changed', id: null });
    await settle();
    expect([model.runs, model.isDisposed]).toEqual([0, true]);
  });

  test('tells nobody when what was on its way comes after its end', async () => {
    const model = made();
    let changes = 0;
    model.changed.connect(() => changes++);
    const loading = model.refresh();
    model.dispose();
    await loading;
    expect(changes).toBe(0);
  });
});
