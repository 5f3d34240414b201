/**
 * Finds out which tab of the browser shows the notebook that asks. Tabs of the same server talk over a channel, which
 * carries only paths and the ids of these inquiries.
 */
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

/** The part of `BroadcastChannel` that a tab uses. */
export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
  close(): void;
}

type Message = { kind: 'who'; ask: string; path: string } | { kind: 'mine'; ask: string } | { kind: 'changed' };

// Another tab answers within a few milliseconds, a busy one within a hundred. A slower one can't draw in time either.
const ANSWER_MS = 150;

export class Presence implements IDisposable {
  /**
   * @param options.shows - whether this tab shows the document at `path`
   * @param options.channel - `null` if there is none; no other tab is known then
   */
  constructor(options: { shows: (path: string) => boolean; channel: Channel | null }) {
    this._shows = options.shows;
    this._channel = options.channel;
    if (this._channel) {
      this._channel.onmessage = event => this.hear(event.data);
    }
  }

  /** Emitted when another tab was closed, or shows another document now. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  isShownHere(path: string): boolean {
    return path !== '' && this._shows(path);
  }

  /** Whether another tab shows the document; `false` if none says so in time. */
  isShownElsewhere(path: string): Promise<boolean> {
    const channel = this._channel;
    if (!channel || path === '') {
      return Promise.resolve(false);
    }
    const ask = `${Date.now().toString(36)}-${(this._asked++).toString(36)}-${Math.random().toString(36).slice(2)}`;
    return new Promise(resolve => {
      const timer = window.setTimeout(() => {
        this._waiting.delete(ask);
        resolve(false);
      }, ANSWER_MS);
      this._waiting.set(ask, () => {
        window.clearTimeout(timer);
        this._waiting.delete(ask);
        resolve(true);
      });
      channel.postMessage({ kind: 'who', ask, path } satisfies Message);
    });
  }

  /** Tells the other tabs that what is shown here has changed. */
  tell(): void {
    this._channel?.postMessage({ kind: 'changed' } satisfies Message);
  }

  /** Tells the other tabs that this one goes away; it no longer claims to show anything. */
  leave(): void {
    this._isAway = true;
    this.tell();
  }

  /** Tells the other tabs that this one came back from the browser's page cache. */
  comeBack(): void {
    this._isAway = false;
    this.tell();
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this.leave();
    this._disposed = true;
    this._channel?.close();
    Signal.clearData(this);
  }

  private hear(data: unknown): void {
    const message = data as Partial<{ kind: unknown; ask: unknown; path: unknown }> | null;
    if (message?.kind === 'who' && typeof message.path === 'string' && typeof message.ask === 'string') {
      if (!this._isAway && this.isShownHere(message.path)) {
        this._channel?.postMessage({ kind: 'mine', ask: message.ask } satisfies Message);
      }
    } else if (message?.kind === 'mine' && typeof message.ask === 'string') {
      this._waiting.get(message.ask)?.();
    } else if (message?.kind === 'changed') {
      this._changed.emit();
    }
  }

  private readonly _shows: (path: string) => boolean;
  private readonly _channel: Channel | null;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _waiting = new Map<string, () => void>();
  private _asked = 0;
  private _isAway = false;
  private _disposed = false;
}
