/**
 * The projects of the open documents as the server last reported them: what their files say, and what was accepted of it.
 */
import type { ConnectionView, Workspace, WorkspaceEntry } from '../contracts';
import { messageOf } from '../errors';
import type { IWorkspaces } from '../tokens';
import type { EventModelOptions } from './eventModel';
import { EventModel } from './eventModel';

// The server takes so many; more open documents than that are of few projects.
const MAX_PATHS = 64;

/** Whether a person has something to do about it. */
export function waitsForReview({ state }: Pick<WorkspaceEntry, 'state'>): boolean {
  return state !== 'accepted';
}

export class WorkspacesModel extends EventModel implements IWorkspaces {
  /** @param paths - returns the paths of the open documents */
  constructor(options: EventModelOptions & { paths: () => readonly string[] }) {
    super(options);
    this._paths = options.paths;
  }

  get items(): readonly Workspace[] {
    return this._items;
  }

  get waiting(): number {
    return this._items.reduce((sum, item) => sum + item.entries.filter(waitsForReview).length + (item.problem ? 1 : 0), 0);
  }

  get trouble(): string {
    return this._trouble;
  }

  async accept(root: string, entry: WorkspaceEntry): Promise<ConnectionView> {
    try {
      return await this.api.acceptWorkspace({ root, id: entry.id }, entry.digest);
    } finally {
      // Also if it was refused: what was shown may be another one by now.
      await this.refresh();
    }
  }

  async forget(connectionId: string, revision: number): Promise<void> {
    await this.api.forgetWorkspace(connectionId, revision);
    await this.refresh();
  }

  protected async load(): Promise<void> {
    try {
      const found = await this.api.listWorkspaces([...new Set(this._paths())].slice(0, MAX_PATHS));
      this._items = found.items;
      this._trouble = '';
    } catch (error) {
      this._trouble = messageOf(error);
    }
    this.tellChanged();
  }

  protected readonly refreshedBy = new Set(['connections:changed'] as const);
  private readonly _paths: () => readonly string[];
  private _items: Workspace[] = [];
  private _trouble = '';
}
