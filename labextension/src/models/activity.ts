/**
 * Permissions and the activity log: fetched when shown, never kept.
 */
import type { AuditPage, AuditVerification, ExportFormat, GrantView, UseDay } from '../contracts';
import type { IActivity } from '../tokens';
import { EventModel } from './eventModel';

/** One screenful; older rows are fetched on demand. */
const PAGE_ROWS = 50;

export class ActivityModel extends EventModel implements IActivity {
  async grants(connectionId: string): Promise<GrantView[]> {
    return (await this.api.listGrants(connectionId)).items;
  }

  async revoke(grantId: string): Promise<void> {
    await this.api.revokeGrant(grantId);
    this.tellChanged();
  }

  uses(connectionId: string): Promise<UseDay[]> {
    return this.api.listUses(connectionId);
  }

  events(connectionId: string, before?: number): Promise<AuditPage> {
    return this.api.listAudit({ connectionId, before, limit: PAGE_ROWS });
  }

  verify(): Promise<AuditVerification> {
    return this.api.verifyAudit();
  }

  async export(format: ExportFormat, connectionId: string | null): Promise<string[]> {
    const pieces: string[] = [];
    const which = connectionId === null ? {} : { connectionId };
    let part = await this.api.exportAudit(format, which);
    while (part.next_after !== null) {
      pieces.push(part.text);
      part = await this.api.exportAudit(format, { ...which, last: part.last, after: part.next_after });
    }
    pieces.push(part.text);
    return pieces;
  }

  /** Only reports the change: nothing is kept, and whoever shows it fetches it again. */
  protected async load(): Promise<void> {
    this.tellChanged();
  }

  protected readonly refreshedBy = new Set(['audit:changed', 'grants:changed'] as const);
}
