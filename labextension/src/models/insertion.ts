/**
 * Where in a notebook a new cell that uses a connection goes, and what is in it.
 */

const LOADS = /^[ \t]*%(re)?load_ext[ \t]+connvault_jupyter\b/m;

/** The parts of a cell that matter here. */
interface Cell {
  isCode: boolean;
  source: string;
}

/**
 * Returns the index of the cell to insert below: the active one, unless the extension is loaded only further down. Code
 * above `%load_ext` would run without it.
 */
export function insertBelowIndex(cells: readonly Cell[], active: number): number {
  return Math.max(active, cells.findIndex(isLoading));
}

/** Returns the code to insert, which loads the extension itself if no cell does. */
export function insertedSource(cells: readonly Cell[], code: string): string {
  return cells.some(isLoading) ? code : `%load_ext connvault_jupyter\n\n${code}`;
}

function isLoading({ isCode, source }: Cell): boolean {
  return isCode && LOADS.test(source);
}
