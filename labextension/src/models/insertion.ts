/**
 * Where in a notebook a new cell goes that uses a connection.
 */

const LOADS = /^[ \t]*%(re)?load_ext[ \t]+connvault_jupyter\b/m;

/** A cell, as far as it matters here. */
export interface Place {
  isCode: boolean;
  source: string;
}

/**
 * The index of the cell to insert below: the active one, unless the extension is loaded further down only. What is
 * inserted above `%load_ext` would run without it.
 */
export function insertBelowIndex(cells: readonly Place[], active: number): number {
  const loads = cells.findIndex(({ isCode, source }) => isCode && LOADS.test(source));
  return Math.max(active, loads);
}
