/**
 * Which screen a panel shows, and of what. Each panel has its own.
 */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Proposal } from '../contracts';

export type DetailTab = 'details' | 'grants' | 'activity';

export type Screen =
  | { name: 'list' }
  /** `proposal`: what code suggests, as the server returned it. Nothing else but the person fills in a form. */
  | { name: 'picker'; proposal?: Proposal }
  | { name: 'create'; providerId: string; proposal?: Proposal }
  /** A suggestion still to be fetched; `providerId`: the kind of the form to offer if it has expired. */
  | { name: 'proposal'; id: string; providerId?: string }
  | { name: 'edit'; connectionId: string }
  /** `asks`: the input for the secret is open. */
  | { name: 'detail'; connectionId: string; tab: DetailTab; asks?: 'secret' }
  /** The projects' connections, to be reviewed. */
  | { name: 'workspaces' }
  | { name: 'setup' }
  | { name: 'unlock' }
  /** What opens the vault, and what is done with all of it. */
  | { name: 'vault' }
  | { name: 'export' }
  | { name: 'import' };

/** Returns the id (or, in a link, the name) of the connection that a screen is about; `''` if it is about none. */
export function connectionOf(screen: Screen): string {
  return screen.name === 'detail' || screen.name === 'edit' ? screen.connectionId : '';
}

export class Navigation {
  constructor(screen: Screen = { name: 'list' }) {
    this._screen = screen;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get screen(): Screen {
    return this._screen;
  }

  go(screen: Screen): void {
    this._screen = screen;
    this._changed.emit();
  }

  /** Asks whoever draws this to take the focus along, now or as soon as there is something to focus. */
  focus(): void {
    this._wantsFocus = true;
    this._changed.emit();
  }

  /** Returns whether the focus was asked for since the last call. */
  takeFocus(): boolean {
    const wanted = this._wantsFocus;
    this._wantsFocus = false;
    return wanted;
  }

  private _screen: Screen;
  private _wantsFocus = false;
  private readonly _changed = new Signal<this, void>(this);
}
