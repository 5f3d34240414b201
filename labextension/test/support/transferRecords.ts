import type { ExportedConnections, ImportEntry, ImportPreview } from '../../src/contracts';

const T0 = '2026-11-24T09:00:00+00:00';

export function exportedConnections(change: Partial<ExportedConnections> = {}): ExportedConnections {
  return {
    file: 'connvault export 1\nmade-up',
    connections: [{ id: 'c1', name: 'warehouse', secrets: [], without_secrets: 'not_asked' }],
    left_out: [],
    ...change
  };
}

export function importEntry(change: Partial<ImportEntry> = {}): ImportEntry {
  return {
    name: 'warehouse',
    provider_id: 'postgresql',
    provider_name: 'PostgreSQL',
    display_name: '',
    destination: 'ada@db.internal:5432/sales',
    reveal_allowed: false,
    secrets: ['password'],
    without_secrets: null,
    would: 'new',
    present: null,
    ...change
  };
}

export function importPreview(...connections: ImportEntry[]): ImportPreview {
  return { made_at: T0, connections: connections.length ? connections : [importEntry()] };
}
