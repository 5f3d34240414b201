import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Drawer } from '../../src/consent/controller';
import { ConsentController } from '../../src/consent/controller';
import type { Channel } from '../../src/consent/presence';
import { Presence } from '../../src/consent/presence';
import type { IOpenQuestion, IQuestions } from '../../src/tokens';
import { openQuestion } from '../support/records';

class FakeChannel implements Channel {
  static all: FakeChannel[] = [];
  onmessage: ((event: MessageEvent) => void) | null = null;
  sent: unknown[] = [];
  constructor() {
    FakeChannel.all.push(this);
  }
  postMessage(message: unknown): void {
    this.sent.push(message);
    for (const other of FakeChannel.all.filter(item => item !== this)) {
      other.onmessage?.({ data: structuredClone(message) } as MessageEvent);
    }
  }
  close(): void {
    FakeChannel.all = FakeChannel.all.filter(item => item !== this);
  }
}

describe('tabs', () => {
  const PATH = 'reports/first_steps.ipynb';
  let items: IOpenQuestion[];
  let changed: Signal<IQuestions, void>;

  beforeEach(() => {
    vi.useFakeTimers();
    FakeChannel.all = [];
    items = [];
    changed = new Signal<IQuestions, void>({} as IQuestions);
  });
  afterEach(() => vi.useRealTimers());

  function tab(shown: string[]): { controller: ConsentController; presence: Presence; drawn: () => string[]; shown: string[] } {
    const mine: string[][] = [];
    const presence = new Presence({ shows: path => shown.includes(path), channel: new FakeChannel() });
    const questions = {
      changed,
      get items() {
        return items;
      }
    } as unknown as IQuestions;
    const drawer: Drawer = {
      isDisposed: false,
      dispose: () => undefined,
      ask: list => mine.push(list.map(item => item.question.id))
    };
    const controller = new ConsentController({ questions, presence, drawer: () => drawer });
    return { controller, presence, shown, drawn: () => mine[mine.length - 1] ?? [] };
  }

  async function ask(...asked: IOpenQuestion[]): Promise<void> {
    items = asked;
    changed.emit();
    await vi.advanceTimersByTimeAsync(0);
  }

  test('the one that shows the notebook asks at once, the others do not', async () => {
    const here = tab([PATH]);
    const there = tab(['other.ipynb']);
    await ask(openQuestion());
    expect(here.drawn()).toEqual(['q1']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(there.drawn()).toEqual([]);
  });

  test('any asks when none shows the notebook', async () => {
    const one = tab([]);
    const other = tab(['other.ipynb']);
    await ask(openQuestion());
    await vi.advanceTimersByTimeAsync(1_000);
    expect([one.drawn(), other.drawn()]).toEqual([['q1'], ['q1']]);
  });

  test.each(['script', 'detached', 'console'] as const)('any asks for a %s', async kind => {
    const one = tab([]);
    await ask(openQuestion({}, { kind }));
    expect(one.drawn()).toEqual(['q1']);
  });

  test('the one that comes to show the notebook asks then', async () => {
    tab([PATH]);
    const there = tab([]);
    await ask(openQuestion());
    await vi.advanceTimersByTimeAsync(1_000);
    there.shown.push(PATH);
    there.controller.lookAgain();
    expect(there.drawn()).toEqual(['q1']);
  });

  test('when the tab of the notebook is closed another one asks', async () => {
    const here = tab([PATH]);
    const there = tab([]);
    await ask(openQuestion());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(there.drawn()).toEqual([]);
    here.presence.dispose();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(there.drawn()).toEqual(['q1']);
  });

  test('what was told to be answered here is asked here', async () => {
    tab([PATH]);
    const there = tab([]);
    await ask(openQuestion());
    await vi.advanceTimersByTimeAsync(1_000);
    there.controller.answer();
    expect(there.drawn()).toEqual(['q1']);
  });

  test('a question that is resolved closes everywhere', async () => {
    const one = tab([]);
    await ask(openQuestion());
    await vi.advanceTimersByTimeAsync(1_000);
    await ask();
    expect(one.drawn()).toEqual([]);
  });

  test('a question that is resolved while others are asked is not drawn after all', async () => {
    const one = tab([]);
    await ask(openQuestion());
    await ask();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(one.drawn()).toEqual([]);
  });

  test.each([null, 'text', 7, {}, { kind: 'who' }, { kind: 'mine', ask: 7 }, { kind: 'who', ask: 'a', path: 7 }])(
    'a message %j from the channel is ignored',
    async message => {
      const one = tab([PATH]);
      FakeChannel.all[0].onmessage?.({ data: message } as MessageEvent);
      await ask(openQuestion());
      expect(one.drawn()).toEqual(['q1']);
    }
  );
});
