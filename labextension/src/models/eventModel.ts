/**
 * What the models that follow the server have in common: they hear its events, load again and report that they changed.
 */
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Event as ConnvaultEvent } from '../contracts';
import type { EventStream } from '../events';
import type { RestApi } from '../restapi';

type EventName = ConnvaultEvent['event'];

export interface EventModelOptions {
  api: RestApi;
  events: EventStream;
}

export abstract class EventModel implements IDisposable {
  constructor({ api, events }: EventModelOptions) {
    this.api = api;
    this._events = events;
    events.opened.connect(this.onOpened, this);
    events.received.connect(this.onEvent, this);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  /**
   * Loads at most once at a time. A call in the meantime gets one more run afterwards, so that no change is missed and
   * a burst of events costs two loads.
   */
  refresh(): Promise<void> {
    if (!this._running) {
      this._running = this.load().finally(() => {
        this._running = null;
      });
      return this._running;
    }
    this._next ??= this._running.then(() => {
      this._next = null;
      return this.refresh();
    });
    return this._next;
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

  /** Fetches what the model holds and reports that it changed. It handles its own errors and does not reject. */
  protected abstract load(): Promise<void>;

  /** The events that make what the model holds out of date. */
  protected abstract readonly refreshedBy: ReadonlySet<EventName>;

  protected onEvent(_: EventStream, { event }: ConnvaultEvent): void {
    if (this.refreshedBy.has(event)) {
      void this.refresh();
    }
  }

  /** Reports a change; nobody hears of it once the model is disposed. */
  protected tellChanged(): void {
    this._changed.emit();
  }

  protected readonly api: RestApi;

  /** Loads again: events that were missed while the stream was down are not repeated. */
  private onOpened(): void {
    void this.refresh();
  }

  private readonly _events: EventStream;
  private readonly _changed = new Signal<this, void>(this);
  private _running: Promise<void> | null = null;
  private _next: Promise<void> | null = null;
  private _disposed = false;
}
