/**
 * The connections and their kinds as the server last reported them. No DOM; secrets pass through and are not kept.
 */
import type {
  ConnectionView,
  CreateConnection,
  ExportConnections,
  ExportedConnections,
  ImportDecision,
  ImportedConnections,
  ImportPreview,
  ProviderDefinition,
  SkippedProvider,
  TestOutcome
} from '../contracts';
import { messageOf } from '../errors';
import type { ConnectionChange } from '../restapi';
import type { IConnections } from '../tokens';
import { EventModel } from './eventModel';

export class ConnectionsModel extends EventModel implements IConnections {
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

  get(idOrName: string): ConnectionView | undefined {
    return (
      this._items.find(item => item.connection.id === idOrName) ??
      this._items.find(item => item.connection.name === idOrName)
    );
  }

  provider(id: string): ProviderDefinition | undefined {
    return this._providers.find(item => item.id === id);
  }

  async create(connection: CreateConnection): Promise<ConnectionView> {
    return this.put(await this.api.createConnection(connection));
  }

  async update(id: string, revision: number, change: ConnectionChange): Promise<ConnectionView> {
    return this.put(await this.api.updateConnection(id, revision, change));
  }

  async remove(id: string, revision: number): Promise<void> {
    await this.api.deleteConnection(id, revision);
    this._items = this._items.filter(item => item.connection.id !== id);
    this.tellChanged();
  }

  async setSecret(id: string, field: string, value: string, revision: number): Promise<ConnectionView> {
    return this.put(await this.api.setSecret(id, field, { value, revision }));
  }

  async test(id: string): Promise<TestOutcome> {
    const outcome = await this.api.testConnection(id);
    const tested = this.get(id);
    if (tested) {
      this.put({ ...tested, last_test: outcome });
    }
    return outcome;
  }

  export(wanted: ExportConnections): Promise<ExportedConnections> {
    return this.api.exportConnections(wanted);
  }

  previewImport(file: string, passphrase: string): Promise<ImportPreview> {
    return this.api.previewImport({ file, passphrase });
  }

  async import(file: string, passphrase: string, decisions: ImportDecision[]): Promise<ImportedConnections> {
    const imported = await this.api.importConnections({ file, passphrase, decisions });
    await this.refresh();
    return imported;
  }

  protected async load(): Promise<void> {
    try {
      const [providers, connections] = await Promise.all([this.api.listProviders(), this.api.listConnections()]);
      this._providers = providers.providers;
      this._skipped = providers.skipped ?? [];
      this._revealAllowed = providers.reveal_allowed ?? true;
      this._items = connections.items.sort(byName);
      this._unreadable = connections.unreadable + providers.unreadable;
      this._trouble = '';
    } catch (error) {
      // What was known stays visible, with a message that it may be out of date.
      this._trouble = messageOf(error);
    }
    this._isReady = true;
    this.tellChanged();
  }

  private put(view: ConnectionView): ConnectionView {
    this._items = [...this._items.filter(item => item.connection.id !== view.connection.id), view].sort(byName);
    this.tellChanged();
    return view;
  }

  protected readonly refreshedBy = new Set(['connections:changed'] as const);
  private _items: ConnectionView[] = [];
  private _providers: ProviderDefinition[] = [];
  private _skipped: SkippedProvider[] = [];
  private _revealAllowed = true;
  private _unreadable = 0;
  private _isReady = false;
  private _trouble = '';
}

function byName(one: ConnectionView, other: ConnectionView): number {
  return one.connection.name.localeCompare(other.connection.name);
}
