/**
 * One typed function per operation. What comes back is validated here and nowhere else; what is sent is a contract.
 */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type {
  AddSlot,
  AuditPage,
  AuditVerification,
  ConnectionView,
  CreateConnection,
  CustodianKind,
  Decided,
  DecisionKind,
  ExportedAudit,
  ExportConnections,
  ExportedConnections,
  ExportFormat,
  FieldValue,
  GrantView,
  ImportConnections,
  ImportedConnections,
  ImportPreview,
  OperationName,
  PreviewImport,
  Proposal,
  ProviderList,
  SealingKey,
  SecretDraft,
  SlotList,
  SlotProof,
  TestOutcome,
  UseDay,
  VaultState,
  Workspace,
  WorkspaceRef
} from './contracts';
import { OPERATIONS, REST_PREFIX, SEALABLE } from './contracts';
import type { Readable } from './decoders';
import { ProblemError } from './errors';
import { canSeal, seal } from './sealing';
import * as validate from './validate';
import * as validateTransfer from './validateTransfer';
import * as validateWorkspaces from './validateWorkspaces';

/** A change of a connection; what is left out stays as it is. */
export interface ConnectionChange {
  name?: string;
  display_name?: string;
  fields?: { [name: string]: FieldValue };
  secrets?: { [field: string]: SecretDraft };
  reveal_allowed?: boolean;
}

interface Call {
  body?: object;
  query?: { [name: string]: string | number | undefined };
  revision?: number;
}

// The broker was restarted, or has changed its key by itself; the new key has to be fetched.
const KEY_CHANGED = 'sealing_key_changed';

export type Requester = typeof ServerConnection.makeRequest;

export class RestApi {
  /**
   * @param settings - the server; JupyterLab's own if left out
   * @param request - `ServerConnection.makeRequest`, which adds the token and the XSRF header
   */
  constructor(
    readonly settings: ServerConnection.ISettings = ServerConnection.makeSettings(),
    private readonly request: Requester = ServerConnection.makeRequest
  ) {}

  /** Whether what a person types leaves this page sealed. If the browser can't do that, it is sent as it is. */
  get seals(): boolean {
    return canSeal();
  }

  listProviders(): Promise<ProviderList & { unreadable: number }> {
    return this.call('providers.list', {}, {}, validate.providerList);
  }

  listConnections(): Promise<Readable<ConnectionView>> {
    return this.call('connections.list', {}, {}, validate.connectionList);
  }

  createConnection(body: CreateConnection): Promise<ConnectionView> {
    return this.call('connections.create', {}, { body }, validate.connectionView);
  }

  getConnection(id: string): Promise<ConnectionView> {
    return this.call('connections.get', { id }, {}, validate.connectionView);
  }

  updateConnection(id: string, revision: number, body: ConnectionChange): Promise<ConnectionView> {
    return this.call('connections.update', { id }, { body, revision }, validate.connectionView);
  }

  deleteConnection(id: string, revision: number): Promise<void> {
    return this.call('connections.delete', { id }, { revision }, validate.nothing);
  }

  /** @param revision - of the connection as it was shown; the secret was not meant for any other */
  setSecret(id: string, field: string, body: SecretDraft & { revision?: number }): Promise<ConnectionView> {
    return this.call('secrets.set', { id, field }, { body }, validate.connectionView);
  }

  deleteSecret(id: string, field: string): Promise<ConnectionView> {
    return this.call('secrets.delete', { id, field }, {}, validate.connectionView);
  }

  /** @param paths - of open documents and folders, below the server's root */
  listWorkspaces(paths: readonly string[]): Promise<Readable<Workspace>> {
    return this.call('workspaces.list', {}, { body: { paths } }, validateWorkspaces.workspaceList);
  }

  /** @param digest - of the block as it was shown; if it is another one by now, the server answers 409 */
  acceptWorkspace(workspace: WorkspaceRef, digest: string): Promise<ConnectionView> {
    return this.call('workspaces.accept', {}, { body: { workspace, digest } }, validate.connectionView);
  }

  forgetWorkspace(id: string, revision: number): Promise<void> {
    return this.call('workspaces.forget', { id }, { revision }, validate.nothing);
  }

  testConnection(id: string): Promise<TestOutcome> {
    return this.call('connections.test', { id }, { body: {} }, validate.testOutcome);
  }

  exportConnections(body: ExportConnections): Promise<ExportedConnections> {
    return this.call('connections.export', {}, { body }, validateTransfer.exportedConnections);
  }

  previewImport(body: PreviewImport): Promise<ImportPreview> {
    return this.call('connections.import_preview', {}, { body }, validateTransfer.importPreview);
  }

  importConnections(body: ImportConnections): Promise<ImportedConnections> {
    return this.call('connections.import', {}, { body }, validateTransfer.importedConnections);
  }

  listUses(id: string): Promise<UseDay[]> {
    return this.call('connections.uses', { id }, {}, validate.useDays);
  }

  getProposal(id: string): Promise<Proposal> {
    return this.call('proposals.get', { id }, {}, validate.proposal);
  }

  listAccessRequests(): Promise<validate.Questions> {
    return this.call('access_requests.list', {}, {}, validate.questionList);
  }

  /** @param digest - of the question as it was shown; if it is another one by now, the server answers 409 */
  decide(id: string, decision: DecisionKind, digest: string, seconds?: number): Promise<Decided> {
    const body = seconds === undefined ? { decision, digest } : { decision, digest, seconds };
    return this.call('access_requests.decide', { id }, { body }, validate.decided);
  }

  listGrants(connectionId?: string): Promise<Readable<GrantView>> {
    return this.call('grants.list', {}, { query: { connection_id: connectionId } }, validate.grantList);
  }

  revokeGrant(id: string): Promise<void> {
    return this.call('grants.revoke', { id }, {}, validate.nothing);
  }

  listAudit(filter: { connectionId?: string; before?: number; limit?: number }): Promise<AuditPage> {
    const query = { connection_id: filter.connectionId, before: filter.before, limit: filter.limit };
    return this.call('audit.list', {}, { query }, validate.auditPage);
  }

  verifyAudit(): Promise<AuditVerification> {
    return this.call('audit.verify', {}, {}, validate.auditVerification);
  }

  /** A part of it as text; `after` and `last` continue where the previous answer ended. */
  exportAudit(
    format: ExportFormat,
    asked: { connectionId?: string; last?: number; after?: number }
  ): Promise<ExportedAudit> {
    const query = { format, connection_id: asked.connectionId, last: asked.last, after: asked.after };
    return this.call('audit.export', {}, { query }, validate.exportedAudit);
  }

  getVault(): Promise<VaultState> {
    return this.call('vault.state', {}, {}, validate.vaultState);
  }

  setUpVault(custodian: CustodianKind | null, passphrase: string | null): Promise<VaultState> {
    return this.call('vault.setup', {}, { body: { custodian, passphrase } }, validate.vaultState);
  }

  unlockVault(passphrase: string | null): Promise<VaultState> {
    return this.call('vault.unlock', {}, { body: { passphrase } }, validate.vaultState);
  }

  lockVault(): Promise<VaultState> {
    return this.call('vault.lock', {}, { body: {} }, validate.vaultState);
  }

  changePassphrase(current: string, next: string): Promise<VaultState> {
    return this.call('vault.passphrase', {}, { body: { current, new: next } }, validate.vaultState);
  }

  listSlots(): Promise<SlotList> {
    return this.call('slots.list', {}, {}, validate.slotList);
  }

  addSlot(body: AddSlot): Promise<SlotList> {
    return this.call('slots.add', {}, { body }, validate.slotList);
  }

  removeSlot(id: string, proof: SlotProof): Promise<SlotList> {
    return this.call('slots.remove', { id }, { body: { proof } }, validate.slotList);
  }

  rotateKeys(proof: SlotProof): Promise<SlotList> {
    return this.call('vault.rotate', {}, { body: { proof } }, validate.slotList);
  }

  private async call<T>(
    operation: OperationName,
    places: { [name: string]: string },
    call: Call,
    decode: (value: unknown) => T
  ): Promise<T> {
    if (!call.body || !SEALABLE.has(operation) || !this.seals) {
      return this.send(operation, places, call, decode);
    }
    const { revision } = call;
    const whole = { ...call.body, ...places, ...(revision === undefined ? {} : { revision }) };
    for (let isLast = false; ; isLast = true) {
      const body = await this.sealed(operation, whole);
      try {
        return await this.send(operation, places, { ...call, body }, decode);
      } catch (error) {
        if (isLast || !(error instanceof ProblemError) || error.code !== KEY_CHANGED) {
          throw error;
        }
        this._key = null;
      }
    }
  }

  private async sealed(operation: OperationName, request: object): Promise<object> {
    this._key ??= await this.send('vault.sealing_key', {}, {}, validate.sealingKey);
    try {
      return await seal(this._key, operation, request);
    } catch {
      // It is never sent unsealed instead. The cause is left out, because it could contain the request.
      throw new ProblemError('not_sealed', 'This page could not seal what you typed. Reload it and try again.', 0);
    }
  }

  private async send<T>(
    operation: OperationName,
    places: { [name: string]: string },
    call: Call,
    decode: (value: unknown) => T
  ): Promise<T> {
    const { method, path } = OPERATIONS[operation];
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(places[name]));
    const asked = Object.entries(call.query ?? {}).filter(([, value]) => value !== undefined);
    const url =
      URLExt.join(this.settings.baseUrl, REST_PREFIX, filled) +
      URLExt.objectToQueryString(Object.fromEntries(asked.map(([name, value]) => [name, String(value)])));
    const headers: Record<string, string> = {};
    if (call.body) {
      headers['Content-Type'] = 'application/json';
    }
    if (call.revision !== undefined) {
      headers['If-Match'] = `"${call.revision}"`;
    }
    let response: Response;
    try {
      response = await this.request(
        url,
        { method, headers, body: call.body ? JSON.stringify(call.body) : undefined },
        this.settings
      );
    } catch {
      // The cause is left out, because it could quote the request.
      throw new ProblemError('server_unreachable', 'The Jupyter server does not answer. Is it still running?', 0);
    }
    const text = await response.text();
    if (!response.ok) {
      throw problemOf(response.status, text);
    }
    return decode(text === '' ? undefined : parse(text));
  }

  private _key: SealingKey | null = null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function problemOf(status: number, text: string): ProblemError {
  const problem = validate.problem(parse(text));
  if (problem) {
    return new ProblemError(problem.code, problem.detail, status, problem.title, problem.errors);
  }
  const detail =
    status === 401 || status === 403
      ? 'The Jupyter server refused this. Log in again and reload the page.'
      : status === 404
        ? 'The server part of connvault does not answer. Is the server extension enabled?'
        : 'The Jupyter server answered with an error. See the server log.';
  return new ProblemError('http_error', detail, status);
}
