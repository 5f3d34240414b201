/**
 * The projects of the open documents as the server last reported them: what their files say, and what was accepted of it.
 */
import type { ConnectionView, Workspace, WorkspaceEntry, WorkspaceRef } from '../contracts';
import { messageOf } from '../errors';
import type { IWorkspaces, ProjectFolder } from '../tokens';
import type { EventModelOptions } from './eventModel';
import { EventModel } from './eventModel';

// The server takes so many; more open documents than that are of few projects.
const MAX_PATHS = 64;

// As the server names the file of a project at its own root.
const FILE = '.connvault/connections.json';

/** Whether a person has something to do about it. */
export function waitsForReview({ state }: Pick<WorkspaceEntry, 'state'>): boolean {
  return state !== 'accepted';
}

/** The path of a project's file, for people; of one that is not loaded, its folder's. */
export function fileOf(items: readonly Workspace[], { root }: Pick<WorkspaceRef, 'root'>): string {
  return items.find(item => item.root === root)?.file ?? root;
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

  get folders(): readonly ProjectFolder[] {
    const projects = new Map(this._items.map(item => [folderOf(item), item.root]));
    const found = new Map<string, ProjectFolder>();
    for (const path of this._paths()) {
      const above = foldersAbove(path);
      const project = above.find(folder => projects.has(folder));
      for (const folder of project === undefined ? above : [project]) {
        found.set(folder, { path: folder, root: projects.get(folder) ?? null });
      }
    }
    return [...found.values()];
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

function folderOf({ file }: Workspace): string {
  return file === FILE ? '' : file.slice(0, -FILE.length - 1);
}

/** `a/b` and `a` and the root, for `a/b/report.ipynb`. */
function foldersAbove(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return [...parts, ''].map((_, index) => parts.slice(0, parts.length - index).join('/'));
}
