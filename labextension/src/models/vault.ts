/**
 * The state of the vault. A passphrase passes through and is not kept.
 */
import type { CustodianKind, VaultState } from '../contracts';
import type { IVault } from '../tokens';
import { EventModel } from './eventModel';

export class VaultModel extends EventModel implements IVault {
  get state(): VaultState | null {
    return this._state;
  }

  get seals(): boolean {
    return this.api.seals;
  }

  async setUp(custodian: CustodianKind, passphrase: string | null): Promise<void> {
    this.put(await this.api.setUpVault(custodian, passphrase));
  }

  async unlock(passphrase: string | null): Promise<void> {
    this.put(await this.api.unlockVault(passphrase));
  }

  async lock(): Promise<void> {
    this.put(await this.api.lockVault());
  }

  protected async load(): Promise<void> {
    try {
      this.put(await this.api.getVault());
    } catch (error) {
      // The list of connections already says that the server does not answer.
      console.warn(String(error));
    }
  }

  private put(state: VaultState): void {
    this._state = state;
    this.tellChanged();
  }

  protected readonly refreshedBy = new Set(['vault:changed'] as const);
  private _state: VaultState | null = null;
}
