/**
 * Where one panel is: which screen, of what. Each panel has its own.
 */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { FieldValue } from '../contracts';

export type DetailTab = 'details' | 'grants' | 'activity';

/** What a form starts with. Never a secret. */
export interface Prefill {
  name?: string;
  fields?: { [name: string]: FieldValue };
}

export type Place =
  | { screen: 'list' }
  | { screen: 'picker'; prefill?: Prefill }
  | { screen: 'create'; providerId: string; prefill?: Prefill }
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

  private _place: Place;
  private readonly _changed = new Signal<this, void>(this);
}
