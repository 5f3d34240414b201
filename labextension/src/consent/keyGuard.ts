/**
 * Keeps keys that were meant for something else from answering a question that appears under typing hands.
 *
 * A key counts only when nothing was typed for a while, both since the question was drawn and before the key. Moving
 * about with Tab and arrows, once begun, needs no further pause; deciding always does.
 */

/** Longer than the pause between two keys of somebody who types slowly (about 350 ms), short enough not to be felt. */
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

/** Whether the key moves the focus or the view, and decides nothing. */
export function isMove(key: string): boolean {
  return MOVES.has(key);
}

// They say nothing by themselves; the key that they go with does.
const MODIFIERS = new Set(['Shift', 'Control', 'Alt', 'AltGraph', 'Meta', 'CapsLock', 'NumLock', 'Fn']);

export interface KeyLike {
  readonly key: string;
  readonly repeat: boolean;
  readonly isTrusted: boolean;
  readonly isComposing: boolean;
}

export class KeyGuard {
  /** @param now - milliseconds of a clock that is never set back */
  constructor(private readonly now: () => number) {
    this._drawnAt = now();
  }

  /** The question, or another one in its place, was drawn just now. */
  drawn(): void {
    this._drawnAt = this.now();
    this._isMoving = false;
  }

  /** Whether a click may decide: not one that was on its way when the question appeared. */
  get isSettled(): boolean {
    return this.now() - this._drawnAt >= QUIET_MS;
  }

  /** Whether the key counts. Every trusted key begins the pause anew, those that do not count too. */
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
