/**
 * The connections and their kinds as last told by the server. No DOM, no secrets: those pass through and are not kept.
 */
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type {
  ConnectionView,
  CreateConnection,
  Event as ConnvaultEvent,
  ProviderDefinition,
  SkippedProvider,
  TestOutcome
} from '../contracts';
import type { EventStream } from '../events';
import type { ConnectionChange, RestApi } from '../restapi';
import type { IConnections } from '../tokens';
import { Refresher } from './refresher';

export class ConnectionsModel implements IConnections, IDisposable {
  constructor(options: { api: RestApi; events: EventStream }) {
    this._api = options.api;
    this._events = options.events;
    this._events.opened.connect(this.onOpened, this);
    this._events.received.connect(this.onEvent, this);
  }

  get changed(): ISignal<IConnections, void> {
    return this._changed;
  }

  get items(): readonly ConnectionView[] {
    return this._items;
  }

  get providers(): readonly ProviderDefinition[] {
    return this._providers;
  }

  get skipped(): readonly SkippedProvider[] {
    return this._skipped;
  }

  get revealAllowed(): boolean {
    return this._revealAllowed;
  }

  get unreadable(): number {
    return this._unreadable;
  }

  get isReady(): boolean {
    return this._isReady;
  }

  get trouble(): string {
    return this._trouble;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  get(idOrName: string): ConnectionView | undefined {
    return (
      this._items.find(item => item.connection.id === idOrName) ??
      this._items.find(item => item.connection.name === idOrName)
    );
  }

  provider(id: string): ProviderDefinition | undefined {
    return this._providers.find(item => item.id === id);
  }

  refresh(): Promise<void> {
    return this._refresher.run();
  }

  async create(connection: CreateConnection): Promise<ConnectionView> {
    return this.put(await this._api.createConnection(connection));
  }

  async update(id: string, revision: number, change: ConnectionChange): Promise<ConnectionView> {
    return this.put(await this._api.updateConnection(id, revision, change));
  }

  async remove(id: string, revision: number): Promise<void> {
    await this._api.deleteConnection(id, revision);
    this._items = this._items.filter(item => item.connection.id !== id);
    this._changed.emit();
  }

  async setSecret(id: string, field: string, value: string, revision: number): Promise<ConnectionView> {
    return this.put(await this._api.setSecret(id, field, { value, revision }));
  }

  async test(id: string): Promise<TestOutcome> {
    const outcome = await this._api.testConnection(id);
    const tested = this.get(id);
    if (tested) {
      this.put({ ...tested, last_test: outcome });
    }
    return outcome;
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
      const [providers, connections] = await Promise.all([this._api.listProviders(), this._api.listConnections()]);
      this._providers = providers.providers;
      this._skipped = providers.skipped ?? [];
      this._revealAllowed = providers.reveal_allowed ?? true;
      this._items = connections.items.sort(byName);
      this._unreadable = connections.unreadable + providers.unreadable;
      this._trouble = '';
    } catch (error) {
      // What was known stays on show; that it may be out of date is said.
      this._trouble = error instanceof Error ? error.message : String(error);
    }
    this._isReady = true;
    if (!this._disposed) {
      this._changed.emit();
    }
  }

  private put(view: ConnectionView): ConnectionView {
    this._items = [...this._items.filter(item => item.connection.id !== view.connection.id), view].sort(byName);
    this._changed.emit();
    return view;
  }

  private onOpened(): void {
    void this.refresh();
  }

  private onEvent(_: EventStream, event: ConnvaultEvent): void {
    if (event.event === 'connections:changed') {
      void this.refresh();
    }
  }

  private readonly _api: RestApi;
  private readonly _events: EventStream;
  private readonly _refresher = new Refresher(() => this.load());
  private readonly _changed = new Signal<IConnections, void>(this);
  private _items: ConnectionView[] = [];
  private _providers: ProviderDefinition[] = [];
  private _skipped: SkippedProvider[] = [];
  private _revealAllowed = true;
  private _unreadable = 0;
  private _isReady = false;
  private _trouble = '';
  private _disposed = false;
}

function byName(one: ConnectionView, other: ConnectionView): number {
  return one.connection.name.localeCompare(other.connection.name);
}
