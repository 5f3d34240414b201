/**
 * Where in a notebook a new cell goes that uses a connection, and what stands in it.
 */

const LOADS = /^[ \t]*%(re)?load_ext[ \t]+connvault_jupyter\b/m;

/** A cell, as far as it matters here. */
interface Cell {
  isCode: boolean;
  source: string;
}

/**
 * The index of the cell to insert below: the active one, unless the extension is loaded further down only. What is
 * inserted above `%load_ext` would run without it.
 */
export function insertBelowIndex(cells: readonly Cell[], active: number): number {
  return Math.max(active, cells.findIndex(isLoading));
}

/** The code to insert; where no cell loads the extension, it does so itself. */
export function insertedSource(cells: readonly Cell[], code: string): string {
  return cells.some(isLoading) ? code : `%load_ext connvault_jupyter\n\n${code}`;
}

function isLoading({ isCode, source }: Cell): boolean {
  return isCode && LOADS.test(source);
}
