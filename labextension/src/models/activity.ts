/**
 * Who may use what, and the record of what happened: fetched when looked at, never held.
 */
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { AuditPage, AuditVerification, Event as ConnvaultEvent, GrantView, UseDay } from '../contracts';
import type { EventStream } from '../events';
import type { RestApi } from '../restapi';
import type { IActivity } from '../tokens';

/** A screenful; older rows are asked for when wanted. */
const PAGE_ROWS = 50;

export class ActivityModel implements IActivity, IDisposable {
  constructor(options: { api: RestApi; events: EventStream }) {
    this._api = options.api;
    this._events = options.events;
    this._events.received.connect(this.onEvent, this);
  }

  get changed(): ISignal<IActivity, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  async grants(connectionId: string): Promise<GrantView[]> {
    return (await this._api.listGrants(connectionId)).items;
  }

  async revoke(grantId: string): Promise<void> {
    await this._api.revokeGrant(grantId);
    this._changed.emit();
  }

  uses(connectionId: string): Promise<UseDay[]> {
    return this._api.listUses(connectionId);
  }

  events(connectionId: string, before?: number): Promise<AuditPage> {
    return this._api.listAudit({ connectionId, before, limit: PAGE_ROWS });
  }

  verify(): Promise<AuditVerification> {
    return this._api.verifyAudit();
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._disposed = true;
    this._events.received.disconnect(this.onEvent, this);
    Signal.clearData(this);
  }

  private onEvent(_: EventStream, event: ConnvaultEvent): void {
    if (event.event === 'audit:changed' || event.event === 'grants:changed') {
      this._changed.emit();
    }
  }

  private readonly _api: RestApi;
  private readonly _events: EventStream;
  private readonly _changed = new Signal<IActivity, void>(this);
  private _disposed = false;
}
