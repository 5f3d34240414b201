/**
 * What code suggests for new connections. Fetched when it is asked for, by its id, and not kept: it expires.
 */
import type { Proposal } from '../contracts';
import type { RestApi } from '../restapi';
import type { IProposals } from '../tokens';

export class ProposalsModel implements IProposals {
  constructor(options: { api: RestApi }) {
    this._api = options.api;
  }

  get(id: string): Promise<Proposal> {
    return this._api.getProposal(id);
  }

  private readonly _api: RestApi;
}
