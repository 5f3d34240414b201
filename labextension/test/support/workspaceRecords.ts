import type { Workspace, WorkspaceEntry } from '../../src/contracts';

export function workspace(around: Partial<Workspace> = {}, ...changes: Partial<WorkspaceEntry>[]): Workspace {
  const block = { name: 'warehouse', display_name: '', provider_id: 'postgresql', fields: { host: 'db.internal', port: 5432 } };
  return {
    root: '/home/ada/shop',
    file: 'shop/.connvault/connections.json',
    problem: '',
    entries: changes.map((change, index) => ({
      id: `b${index}`,
      state: 'new',
      block,
      accepted: null,
      connection_id: null,
      provider_name: 'PostgreSQL',
      destination: 'db.internal:5432',
      accepted_destination: '',
      destination_changed: false,
      secrets_missing: ['password'],
      digest: 'd'.repeat(64),
      ...change
    })),
    ...around
  };
}
