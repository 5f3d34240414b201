/**
 * Where one panel is: which screen, of what. Each panel has its own.
 */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Proposal } from '../contracts';

export type DetailTab = 'details' | 'grants' | 'activity';

export type Place =
  | { screen: 'list' }
  /** `proposal`: what code suggests, as the server told it. Nothing else fills a form but the person. */
  | { screen: 'picker'; proposal?: Proposal }
  | { screen: 'create'; providerId: string; proposal?: Proposal }
  /** A suggestion that is to be fetched; `providerId`: the kind of the form that is offered if it has expired. */
  | { screen: 'proposal'; id: string; providerId?: string }
  | { screen: 'edit'; connectionId: string }
  /** `asks`: the place to enter the secret is open. */
  | { screen: 'detail'; connectionId: string; tab: DetailTab; asks?: 'secret' }
  | { screen: 'setup' }
  | { screen: 'unlock' };

export class Navigation {
  constructor(place: Place = { screen: 'list' }) {
    this._place = place;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get place(): Place {
    return this._place;
  }

  go(place: Place): void {
    this._place = place;
    this._changed.emit();
  }

  /** Asks whoever draws this to take the focus along, now or as soon as there is something to focus. */
  focus(): void {
    this._wantsFocus = true;
    this._changed.emit();
  }

  /** Whether the focus was asked for; asking ends with that. */
  takeFocus(): boolean {
    const wanted = this._wantsFocus;
    this._wantsFocus = false;
    return wanted;
  }

  private _place: Place;
  private _wantsFocus = false;
  private readonly _changed = new Signal<this, void>(this);
}
