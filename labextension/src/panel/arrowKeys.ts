/**
 * Arrow keys for choosing: from the search to the results, up and down in rows, in all directions in a grid of tiles.
 */
import type { KeyboardEvent } from 'react';

const ROW = 'button.jp-connvault-row';
const TILE = 'button.jp-connvault-tile';

/** Moves the focus with the down arrow from the search to the first row or tile. */
export function intoRows(event: KeyboardEvent<HTMLElement>): void {
  if (event.key === 'ArrowDown') {
    const first = event.currentTarget.closest('section')?.querySelector<HTMLElement>(`${ROW}, ${TILE}`);
    if (first) {
      event.preventDefault();
      first.focus();
    }
  }
}

/** Moves the focus from row to row. */
export function walkRows(event: KeyboardEvent<HTMLElement>): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (!step) {
    return;
  }
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>(ROW)];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const next = rows[at + step];
  if (at >= 0 && next) {
    event.preventDefault();
    next.focus();
  }
}

/** Moves the focus to the neighbouring tile in that direction, and up from the first line to the search. */
export function walkTiles(event: KeyboardEvent<HTMLElement>): void {
  const tiles = [...event.currentTarget.querySelectorAll<HTMLElement>(TILE)];
  const at = tiles.indexOf(document.activeElement as HTMLElement);
  if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) {
    return;
  }
  const next = target(event.key, tiles, at);
  if (next) {
    event.preventDefault();
    next.focus();
  } else if (event.key === 'ArrowUp') {
    event.preventDefault();
    event.currentTarget.closest('section')?.querySelector<HTMLElement>('input[type="search"]')?.focus();
  }
}

function target(key: string, tiles: readonly HTMLElement[], at: number): HTMLElement | undefined {
  switch (key) {
    case 'ArrowRight':
      return tiles[at + 1];
    case 'ArrowLeft':
      return tiles[at - 1];
    case 'ArrowDown':
      return nearest(tiles, at, 1);
    case 'ArrowUp':
      return nearest(tiles, at, -1);
    case 'Home':
      return tiles[0];
    case 'End':
      return tiles[tiles.length - 1];
    default:
      return undefined;
  }
}

/** Returns the tile on the next line in this direction whose left edge is nearest. */
function nearest(tiles: readonly HTMLElement[], at: number, step: 1 | -1): HTMLElement | undefined {
  const from = tiles[at].getBoundingClientRect();
  const beyond = (step > 0 ? tiles.slice(at + 1) : tiles.slice(0, at).reverse())
    .map(tile => ({ tile, box: tile.getBoundingClientRect() }))
    .filter(({ box }) => (box.top - from.top) * step > 0);
  const line = beyond.filter(({ box }) => box.top === beyond[0].box.top);
  return line.sort((one, other) => Math.abs(one.box.left - from.left) - Math.abs(other.box.left - from.left))[0]?.tile;
}
