/**
 * The WebSocket that reports what changed. It carries only ids; whoever is interested fetches the rest.
 *
 * It reconnects by itself, and the server replays what is pending when it opens.
 */
import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Event as ConnvaultEvent } from './contracts';
import { REST_PREFIX } from './contracts';
import * as validate from './validate';

// The first retry is quick (the server may be restarting); the longest wait is long enough not to be a burden.
const RETRY_FIRST_MS = 250;
const RETRY_LONGEST_MS = 15_000;

export class EventStream implements IDisposable {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /** Emitted for each event, including those that the server replays. */
  get received(): ISignal<this, ConnvaultEvent> {
    return this._received;
  }

  /** Emitted when the stream opens (again): whatever was held before may be out of date. */
  get opened(): ISignal<this, void> {
    return this._opened;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  connect(): void {
    if (this._disposed || this._socket) {
      return;
    }
    const base = URLExt.join(this.settings.wsUrl, REST_PREFIX, 'events');
    const { token, appendToken } = this.settings;
    const url = appendToken && token ? `${base}?token=${encodeURIComponent(token)}` : base;
    const socket = new this.settings.WebSocket(url);
    this._socket = socket;
    socket.onopen = () => {
      this._retryMs = RETRY_FIRST_MS;
      this._opened.emit();
    };
    socket.onmessage = message => this.hear(message.data);
    socket.onclose = () => this.retry(socket);
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._disposed = true;
    window.clearTimeout(this._timer);
    const socket = this._socket;
    this._socket = null;
    socket?.close();
    Signal.clearData(this);
  }

  private hear(data: unknown): void {
    let event: ConnvaultEvent;
    try {
      event = validate.event(JSON.parse(String(data)));
    } catch (error) {
      // An event of a newer server is nothing that this page could act on.
      console.warn(String(error));
      return;
    }
    this._received.emit(event);
  }

  private retry(socket: WebSocket): void {
    if (this._socket !== socket || this._disposed) {
      return;
    }
    this._socket = null;
    this._timer = window.setTimeout(() => this.connect(), this._retryMs);
    this._retryMs = Math.min(this._retryMs * 2, RETRY_LONGEST_MS);
  }

  private _socket: WebSocket | null = null;
  private _timer = 0;
  private _retryMs = RETRY_FIRST_MS;
  private _disposed = false;
  private readonly _received = new Signal<this, ConnvaultEvent>(this);
  private readonly _opened = new Signal<this, void>(this);
}
