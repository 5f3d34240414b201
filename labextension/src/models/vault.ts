/**
 * The state of the vault. A passphrase passes through and is not kept.
 */
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { CustodianKind, Event as ConnvaultEvent, VaultState } from '../contracts';
import type { EventStream } from '../events';
import type { RestApi } from '../restapi';
import type { IVault } from '../tokens';
import { Refresher } from './refresher';

export class VaultModel implements IVault, IDisposable {
  constructor(options: { api: RestApi; events: EventStream }) {
    this._api = options.api;
    this._events = options.events;
    this._events.opened.connect(this.onOpened, this);
    this._events.received.connect(this.onEvent, this);
  }

  get changed(): ISignal<IVault, void> {
    return this._changed;
  }

  get state(): VaultState | null {
    return this._state;
  }

  get seals(): boolean {
    return this._api.seals;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  refresh(): Promise<void> {
    return this._refresher.run();
  }

  async setUp(custodian: CustodianKind, passphrase: string | null): Promise<void> {
    this.put(await this._api.setUpVault(custodian, passphrase));
  }

  async unlock(passphrase: string | null): Promise<void> {
    this.put(await this._api.unlockVault(passphrase));
  }

  async lock(): Promise<void> {
    this.put(await this._api.lockVault());
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
    try {
      this.put(await this._api.getVault());
    } catch (error) {
      // The list of connections says that the server does not answer; once is enough.
      console.warn(String(error));
    }
  }

  private put(state: VaultState): void {
    this._state = state;
    if (!this._disposed) {
      this._changed.emit();
    }
  }

  private onOpened(): void {
    void this.refresh();
  }

  private onEvent(_: EventStream, event: ConnvaultEvent): void {
    if (event.event === 'vault:changed') {
      void this.refresh();
    }
  }

  private readonly _api: RestApi;
  private readonly _events: EventStream;
  private readonly _refresher = new Refresher(() => this.load());
  private readonly _changed = new Signal<IVault, void>(this);
  private _state: VaultState | null = null;
  private _disposed = false;
}
