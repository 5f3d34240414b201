/**
 * The questions that wait for a person. No DOM: who draws them is told that they changed.
 */
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { DecisionKind, Event as ConnvaultEvent, Question } from '../contracts';
import type { EventStream } from '../events';
import type { RestApi } from '../restapi';
import { ProblemError } from '../restapi';
import type { IOpenQuestion, IQuestions } from '../tokens';
import { Refresher } from './refresher';

export class QuestionsModel implements IQuestions, IDisposable {
  /**
   * @param options.now - milliseconds of a clock that is never set back
   */
  constructor(options: { api: RestApi; events: EventStream; now?: () => number }) {
    this._api = options.api;
    this._events = options.events;
    this._now = options.now ?? (() => performance.now());
    this._events.opened.connect(this.onOpened, this);
    this._events.received.connect(this.onEvent, this);
  }

  get changed(): ISignal<IQuestions, void> {
    return this._changed;
  }

  get items(): readonly IOpenQuestion[] {
    return this._items;
  }

  get refused(): number {
    return this._refused.size;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  refresh(): Promise<void> {
    return this._refresher.run();
  }

  async decide(question: Question, decision: DecisionKind): Promise<'decided' | 'changed' | 'gone'> {
    const seconds = decision === 'for' ? question.for_s : undefined;
    try {
      await this._api.decide(question.id, decision, question.digest, seconds);
    } catch (error) {
      if (error instanceof ProblemError && (error.status === 404 || error.code === 'access_request_decided')) {
        this.drop(question.id);
        return 'gone';
      }
      if (error instanceof ProblemError && error.status === 409) {
        await this.refresh();
        return 'changed';
      }
      throw error;
    }
    this.drop(question.id);
    return 'decided';
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._disposed = true;
    this._events.opened.disconnect(this.onOpened, this);
    this._events.received.disconnect(this.onEvent, this);
    Signal.clearData(this);
  }

  private async load(): Promise<void> {
    const asked = this._now();
    // What is resolved while the answer is on its way must not come back with it.
    this._resolvedMeanwhile.clear();
    let found;
    try {
      found = await this._api.listAccessRequests();
    } catch (error) {
      // The next event or the next opening of the stream asks again.
      console.warn(String(error));
      return;
    }
    const known = new Map(this._items.map(item => [item.question.id, item]));
    this._items = found.items
      .filter(question => !this._resolvedMeanwhile.has(question.id))
      .map(question => {
        const before = known.get(question.id);
        const endsAt = asked + question.remaining_ms;
        // The same question keeps its object, so that nothing is drawn anew under a hand.
        const same =
          before?.question.digest === question.digest && before.question.claims_hidden === question.claims_hidden;
        return same ? before : { question, endsAt };
      })
      .sort((one, other) => Date.parse(one.question.asked_at) - Date.parse(other.question.asked_at));
    for (const { id, digest } of found.unreadable) {
      this.refuse(id, digest);
    }
    if (!this._disposed) {
      this._changed.emit();
    }
  }

  /** What can't be shown can't be consented to. Where even the id or the digest is unreadable, its time-out refuses it. */
  private refuse(id: string, digest: string): void {
    if (this._refused.has(id)) {
      return;
    }
    this._refused.add(id);
    if (id && digest) {
      this._api.decide(id, 'deny', digest).catch(error => console.warn(String(error)));
    }
  }

  private drop(id: string): void {
    this._resolvedMeanwhile.add(id);
    const before = this._items.length;
    this._items = this._items.filter(item => item.question.id !== id);
    if (this._items.length !== before) {
      this._changed.emit();
    }
  }

  private onOpened(): void {
    void this.refresh();
  }

  private onEvent(_: EventStream, event: ConnvaultEvent): void {
    if (event.event === 'access_request:resolved' && event.id) {
      this.drop(event.id);
    } else if (
      event.event === 'access_request:asked' ||
      event.event === 'access_request:resolved' ||
      // What the code says is hidden while the vault is locked.
      event.event === 'vault:changed'
    ) {
      void this.refresh();
    }
  }

  private readonly _api: RestApi;
  private readonly _events: EventStream;
  private readonly _now: () => number;
  private readonly _refresher = new Refresher(() => this.load());
  private readonly _changed = new Signal<IQuestions, void>(this);
  private readonly _resolvedMeanwhile = new Set<string>();
  private readonly _refused = new Set<string>();
  private _items: IOpenQuestion[] = [];
  private _disposed = false;
}
