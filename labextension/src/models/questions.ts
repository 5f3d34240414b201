/**
 * The questions that wait for a person. No DOM: whoever draws them is told that they changed.
 */
import type { DecisionKind, Event as ConnvaultEvent, Question } from '../contracts';
import { ProblemError } from '../errors';
import type { EventStream } from '../events';
import type { IOpenQuestion, IQuestions } from '../tokens';
import type { EventModelOptions } from './eventModel';
import { EventModel } from './eventModel';

export class QuestionsModel extends EventModel implements IQuestions {
  /**
   * @param options.now - milliseconds of a monotonic clock
   */
  constructor(options: EventModelOptions & { now?: () => number }) {
    super(options);
    this._now = options.now ?? (() => performance.now());
  }

  get items(): readonly IOpenQuestion[] {
    return this._items;
  }

  get refused(): number {
    return this._refused.size;
  }

  async decide(question: Question, decision: DecisionKind): Promise<'decided' | 'changed' | 'gone'> {
    const seconds = decision === 'for' ? question.for_s : undefined;
    try {
      await this.api.decide(question.id, decision, question.digest, seconds);
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

  protected async load(): Promise<void> {
    const asked = this._now();
    // What is resolved while the response is on its way must not come back with it.
    this._resolvedMeanwhile.clear();
    let found;
    try {
      found = await this.api.listAccessRequests();
    } catch (error) {
      // The next event, or the stream when it opens again, makes another attempt.
      console.warn(String(error));
      return;
    }
    const known = new Map(this._items.map(item => [item.question.id, item]));
    this._items = found.items
      .filter(question => !this._resolvedMeanwhile.has(question.id))
      .map(question => {
        const before = known.get(question.id);
        const endsAt = asked + question.remaining_ms;
        // An unchanged question keeps its object, so that nothing is redrawn while somebody is using it.
        const same =
          before?.question.digest === question.digest && before.question.claims_hidden === question.claims_hidden;
        return same ? before : { question, endsAt };
      })
      .sort((one, other) => Date.parse(one.question.asked_at) - Date.parse(other.question.asked_at));
    for (const { id, digest } of found.unreadable) {
      this.refuse(id, digest);
    }
    this.tellChanged();
  }

  /** Refuses what can't be shown, and so can't be consented to. If its id or digest is unreadable too, it times out. */
  private refuse(id: string, digest: string): void {
    if (this._refused.has(id)) {
      return;
    }
    this._refused.add(id);
    if (id && digest) {
      this.api.decide(id, 'deny', digest).catch(error => console.warn(String(error)));
    }
  }

  private drop(id: string): void {
    this._resolvedMeanwhile.add(id);
    const before = this._items.length;
    this._items = this._items.filter(item => item.question.id !== id);
    if (this._items.length !== before) {
      this.tellChanged();
    }
  }

  protected override onEvent(stream: EventStream, event: ConnvaultEvent): void {
    if (event.event === 'access_request:resolved' && event.id) {
      this.drop(event.id);
    } else {
      super.onEvent(stream, event);
    }
  }

  // What code says about itself is hidden while the vault is locked.
  protected readonly refreshedBy = new Set(['access_request:asked', 'access_request:resolved', 'vault:changed'] as const);
  private readonly _now: () => number;
  private readonly _resolvedMeanwhile = new Set<string>();
  private readonly _refused = new Set<string>();
  private _items: IOpenQuestion[] = [];
}
