/**
 * What the parts of this extension, and other extensions, can ask of it.
 */
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

import type {
  AuditPage,
  AuditVerification,
  ConnectionView,
  CreateConnection,
  CustodianKind,
  DecisionKind,
  ExportConnections,
  ExportedConnections,
  ExportFormat,
  GrantView,
  ImportDecision,
  ImportedConnections,
  ImportPreview,
  Proposal,
  ProviderDefinition,
  Question,
  SkippedProvider,
  SlotList,
  TestOutcome,
  UseDay,
  VaultState,
  Workspace,
  WorkspaceEntry
} from './contracts';
import type { ConnectionChange } from './restapi';

/** The connections and their kinds. */
export interface IConnections {
  readonly changed: ISignal<IConnections, void>;
  /** Sorted by name. */
  readonly items: readonly ConnectionView[];
  readonly providers: readonly ProviderDefinition[];
  readonly skipped: readonly SkippedProvider[];
  /** Whether the server lets code ask for plain text at all; kinds that offer nothing else are exempt. */
  readonly revealAllowed: boolean;
  /** How many records could not be read. */
  readonly unreadable: number;
  /** Whether the first attempt to load has finished. */
  readonly isReady: boolean;
  /** Why the list could not be loaded, in words for people; `''` if it could. */
  readonly trouble: string;
  get(idOrName: string): ConnectionView | undefined;
  provider(id: string): ProviderDefinition | undefined;
  refresh(): Promise<void>;
  create(connection: CreateConnection): Promise<ConnectionView>;
  update(id: string, revision: number, change: ConnectionChange): Promise<ConnectionView>;
  remove(id: string, revision: number): Promise<void>;
  /** `revision`: of the connection as it was shown when the secret was typed; it is not meant for another one. */
  setSecret(id: string, field: string, value: string, revision: number): Promise<ConnectionView>;
  test(id: string): Promise<TestOutcome>;
  /** The text of one encrypted file. */
  export(wanted: ExportConnections): Promise<ExportedConnections>;
  /** What importing would do; nothing is changed. */
  previewImport(file: string, passphrase: string): Promise<ImportPreview>;
  import(file: string, passphrase: string, decisions: ImportDecision[]): Promise<ImportedConnections>;
}

/** A folder that a new connection can be committed in. `path`: below the server's root; empty: the root. */
export interface ProjectFolder {
  path: string;
  /** Its project, as far as it has one: an absolute path on the server. */
  root: string | null;
}

/** What projects commit, and what this person accepted of it. */
export interface IWorkspaces {
  readonly changed: ISignal<IWorkspaces, void>;
  /** Those of the open documents, and those of which something was accepted. */
  readonly items: readonly Workspace[];
  /** How many connections and files need a person. */
  readonly waiting: number;
  /** Why they could not be loaded, in words for people; `''` if they could. */
  readonly trouble: string;
  /** Of the open documents: the project that each is in, or else every folder at or above it, innermost first. */
  readonly folders: readonly ProjectFolder[];
  refresh(): Promise<void>;
  /** Accepts an entry as it was shown. */
  accept(root: string, entry: WorkspaceEntry): Promise<ConnectionView>;
  /** Deletes the accepted copy alone. */
  forget(connectionId: string, revision: number): Promise<void>;
}

/** What code suggests for new connections. */
export interface IProposals {
  /** Rejects with a `ProblemError` `proposal_not_found` if it has expired or never existed. */
  get(id: string): Promise<Proposal>;
}

/** A question with its deadline on this page's own clock. */
export interface IOpenQuestion {
  readonly question: Question;
  /** The `performance.now()` at which the broker's deadline is reached. */
  readonly endsAt: number;
}

/** The questions that wait for an answer. */
export interface IQuestions {
  readonly changed: ISignal<IQuestions, void>;
  /** Oldest first. */
  readonly items: readonly IOpenQuestion[];
  /** How many questions could not be read, and were refused, since the page was opened. */
  readonly refused: number;
  refresh(): Promise<void>;
  /**
   * Answers a question as it was shown. Resolves to `'changed'` if it is another one by now, which is then in `items`.
   */
  decide(question: Question, decision: DecisionKind): Promise<'decided' | 'changed' | 'gone'>;
}

/** A way to open the vault; `passphrase`: of that kind only. */
export interface NewSlot {
  kind: CustodianKind;
  label: string | null;
  passphrase: string | null;
}

/** The vault. */
export interface IVault {
  readonly changed: ISignal<IVault, void>;
  /** `null` until the first response. */
  readonly state: VaultState | null;
  /** Whether what is typed leaves this page sealed to the broker, unreadable by the server that forwards it. */
  readonly seals: boolean;
  refresh(): Promise<void>;
  setUp(custodian: CustodianKind, passphrase: string | null): Promise<void>;
  unlock(passphrase: string | null): Promise<void>;
  lock(): Promise<void>;
  changePassphrase(current: string, next: string): Promise<void>;
  /** The key slots: what opens the vault. Fetched when shown, never kept. */
  slots(): Promise<SlotList>;
  /**
   * Adds a way to open the vault. `proof`, here and below: a passphrase that opens it already; the server never takes
   * the keyring's word for a person's.
   */
  addSlot(slot: NewSlot, proof: string): Promise<void>;
  /** Removes one, and seals everything under new keys. */
  removeSlot(id: string, proof: string): Promise<void>;
  /** Seals everything under new keys. */
  rotate(proof: string): Promise<void>;
}

/** Permissions and the activity log. Only reports that they changed, and keeps nothing. */
export interface IActivity {
  readonly changed: ISignal<IActivity, void>;
  grants(connectionId: string): Promise<GrantView[]>;
  revoke(grantId: string): Promise<void>;
  uses(connectionId: string): Promise<UseDay[]>;
  events(connectionId: string, before?: number): Promise<AuditPage>;
  verify(): Promise<AuditVerification>;
  /** The pieces of a file; `null` is the activity of all connections. */
  export(format: ExportFormat, connectionId: string | null): Promise<string[]>;
}

export interface IConnvault {
  readonly connections: IConnections;
  readonly proposals: IProposals;
  readonly workspaces: IWorkspaces;
  readonly questions: IQuestions;
  readonly vault: IVault;
  readonly activity: IActivity;
}

export const IConnvault = new Token<IConnvault>(
  'connvault-jupyter:IConnvault',
  'The connections of connvault, the waiting requests, the vault and the activity.'
);

/** Draws questions, and can be asked to draw the waiting ones. */
export interface IConsentPrompt {
  /** Shows the waiting questions in this tab, wherever their notebook is. */
  answer(): void;
}

export const IConsentPrompt = new Token<IConsentPrompt>(
  'connvault-jupyter:IConsentPrompt',
  'The dialog that asks a person whether code may use a connection.'
);

/** Ids of the commands. */
export const CommandIDs = {
  /**
   * Opens the panel: `{connectionId?, name?, new?: providerId | true, proposal?: id, screen?: 'unlock' | 'setup' |
   * 'questions' | 'workspaces' | 'secret' | 'edit', tab?: 'details' | 'grants' | 'activity'}`. Any document can run a command, so none
   * of these arguments says what is in a form.
   */
  open: 'connvault:open',
  /** Opens another panel, beside the notebooks. */
  openTab: 'connvault:open-tab',
  /** Adds a cell that uses a connection below the active one: `{connectionId}` */
  insertCode: 'connvault:insert-code',
  /** Shows the waiting questions. */
  answer: 'connvault:answer'
} as const;
