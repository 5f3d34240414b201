/**
 * The state of the vault, and what opens it. A passphrase passes through and is not kept.
 */
import type { CustodianKind, SlotList, VaultState } from '../contracts';
import type { IVault, NewSlot } from '../tokens';
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

  async changePassphrase(current: string, next: string): Promise<void> {
    this.put(await this.api.changePassphrase(current, next));
  }

  slots(): Promise<SlotList> {
    return this.api.listSlots();
  }

  async addSlot(slot: NewSlot, proof: string): Promise<void> {
    await this.api.addSlot({ ...slot, proof: { passphrase: proof } });
  }

  async removeSlot(id: string, proof: string): Promise<void> {
    await this.api.removeSlot(id, { passphrase: proof });
  }

  async rotate(proof: string): Promise<void> {
    await this.api.rotateKeys({ passphrase: proof });
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
