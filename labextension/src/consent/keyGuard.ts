/**
 * Keeps keys that were meant for something else from answering a question that appears while somebody is typing.
 *
 * A key counts only after a pause, both since the question was drawn and since the previous key. Moving about with Tab
 * and the arrow keys needs no further pause once begun; deciding always does.
 */

/** Longer than the pause between two keys of a slow typist (about 350 ms), short enough not to be noticed. */
export const QUIET_MS = 500;

const MOVES = new Set([
  'Tab',
  'ArrowLeft',
  'ArrowRight',
  'ArrowUp',
  'ArrowDown',
  'Home',
  'End',
  'PageUp',
  'PageDown'
]);

/** Whether the key only moves the focus or the view. */
export function isMove(key: string): boolean {
  return MOVES.has(key);
}

// These mean nothing by themselves; what counts is the key that they modify.
const MODIFIERS = new Set(['Shift', 'Control', 'Alt', 'AltGraph', 'Meta', 'CapsLock', 'NumLock', 'Fn']);

export interface KeyLike {
  readonly key: string;
  readonly repeat: boolean;
  readonly isTrusted: boolean;
  readonly isComposing: boolean;
}

export class KeyGuard {
  /** @param now - milliseconds of a monotonic clock */
  constructor(private readonly now: () => number) {
    this._drawnAt = now();
  }

  /** Tells the guard that the question, or another one in its place, was drawn just now. */
  drawn(): void {
    this._drawnAt = this.now();
    this._isMoving = false;
  }

  /** Whether a click may decide; one that was already under way when the question appeared may not. */
  get isSettled(): boolean {
    return this.now() - this._drawnAt >= QUIET_MS;
  }

  /** Whether the key counts. Every trusted key except a modifier restarts the pause, even one that does not count. */
  accepts(event: KeyLike): boolean {
    if (!event.isTrusted || MODIFIERS.has(event.key)) {
      return false;
    }
    const now = this.now();
    const isQuiet = now - this._drawnAt >= QUIET_MS && now - this._keyAt >= QUIET_MS;
    const moves = isMove(event.key);
    const counts = !event.isComposing && ((moves && this._isMoving) || (isQuiet && !event.repeat));
    this._keyAt = now;
    this._isMoving = counts && moves;
    return counts;
  }

  private _drawnAt: number;
  private _keyAt = -Infinity;
  private _isMoving = false;
}
