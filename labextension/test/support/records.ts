/** Records as the server sends them, for tests to change in the one place that they are about. */
import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import type {
  AuditEvent,
  AuditVerification,
  ConnectionView,
  GrantView,
  Proposal,
  ProviderDefinition,
  Question,
  SlotList,
  SlotView,
  VaultState,
  Workspace
} from '../../src/contracts';
import { ProblemError } from '../../src/errors';
import type { IActivity, IConnections, IConnvault, IOpenQuestion, IQuestions, IVault, IWorkspaces, ProjectFolder } from '../../src/tokens';
import { exportedConnections, importPreview } from './transferRecords';

export const trans = nullTranslator.load('connvault_jupyter');

export const T0 = '2026-11-24T09:00:00+00:00';

export function provider(change: Partial<ProviderDefinition> = {}): ProviderDefinition {
  return {
    id: 'postgresql',
    name: 'PostgreSQL',
    description: 'A PostgreSQL database.',
    category: 'database',
    icon: '',
    documentation_url: '',
    fields: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: {
        host: {
          type: 'string',
          title: 'Host',
          minLength: 1,
          pattern: '^[a-z.]+$',
          'x-order': 10,
          'x-group': 'address',
          'x-destination': true,
          'x-messages': { required: 'Enter the host to connect to.', pattern: 'Enter one host name.' }
        },
        port: {
          type: 'integer',
          title: 'Port',
          default: 5432,
          minimum: 1,
          maximum: 65535,
          'x-order': 20,
          'x-group': 'address',
          'x-destination': true
        },
        database: { type: 'string', title: 'Database', minLength: 1, 'x-order': 30 },
        password: {
          type: 'string',
          title: 'Password',
          writeOnly: true,
          'x-order': 50,
          'x-messages': { required: 'Enter the password.' }
        },
        sslmode: {
          type: 'string',
          title: 'Encryption',
          default: 'require',
          oneOf: [
            { const: 'require', title: 'Require' },
            { const: 'verify-full', title: 'Verify' }
          ],
          'x-order': 60,
          'x-destination': true
        }
      },
      required: ['host', 'port', 'database', 'password', 'sslmode'],
      allOf: [
        {
          if: { properties: { sslmode: { const: 'verify-full' } }, required: ['sslmode'] },
          then: {
            properties: {
              key: { type: 'string', title: 'Client key', writeOnly: true, 'x-order': 70, 'x-multiline': true }
            },
            required: ['key']
          }
        }
      ]
    },
    destination: '{host}:{port}/{database}',
    deliveries: [
      {
        kind: 'relay',
        mode: 'brokered',
        client: 'postgresql',
        openers: ['engine'],
        protocol: 'postgresql',
        recipe: {},
        variables: {},
        tcp_variables: {}
      }
    ],
    snippet: 'connection("{name}")',
    testable: true,
    ...change
  };
}

export function connectionView(
  change: Partial<ConnectionView['connection']> = {},
  around: Partial<ConnectionView> = {}
): ConnectionView {
  return {
    connection: {
      id: 'c1',
      provider_id: 'postgresql',
      name: 'warehouse',
      display_name: '',
      scope: 'user',
      workspace: null,
      fields: { host: 'db.internal', port: 5432, database: 'sales', sslmode: 'require' },
      revision: 3,
      reveal_allowed: true,
      status: 'ready',
      status_reason: null,
      created_at: T0,
      updated_at: T0,
      ...change
    },
    destination: 'db.internal:5432/sales',
    secrets: { password: { ref: 'r1', set_at: T0, masked: true } },
    modes: ['brokered'],
    delivery: 'hand_over',
    last_used_at: null,
    last_test: null,
    ...around
  };
}

/** The outcome of a test that the service refused. */
export const FAILED_TEST = { ok: false, at: T0, code: 'upstream_auth_failed', detail: 'The service refused the login.', elapsed_ms: 9, server: '' };

export function question(change: Partial<Question> = {}, requester: Partial<Question['requester']> = {}): Question {
  return {
    id: 'q1',
    connection_id: 'c1',
    connection: 'warehouse',
    display_name: '',
    provider_id: 'postgresql',
    provider_name: 'PostgreSQL',
    destination: 'app@db.internal:5432/sales',
    requester: {
      kind: 'notebook',
      key: 'root reports/first_steps.ipynb',
      instance: 'kernel 8d2f',
      label: 'reports/first_steps.ipynb',
      path: 'reports/first_steps.ipynb',
      kernel: 'Python 3',
      pid: 42,
      durable: true,
      evidence: '',
      ...requester
    },
    agent: null,
    mode: 'brokered',
    reasons: ['monthly report'],
    durations: ['once', 'session', 'for', 'always'],
    preselected: 'once',
    once_limit_s: 3600,
    for_s: 28800,
    asked_at: T0,
    expires_at: '2026-11-24T09:01:00+00:00',
    remaining_ms: 60_000,
    digest: 'a'.repeat(64),
    claims_hidden: null,
    ...change
  };
}

export function slotView(change: Partial<SlotView> = {}): SlotView {
  return { id: 'v1', kind: 'passphrase', label: 'Passphrase', created_at: T0, standing: 'genuine', ...change };
}

export function slotList(change: Partial<SlotList> = {}): SlotList {
  return {
    slots: [slotView(), slotView({ id: 's2', kind: 'os_keyring', label: 'System keyring' })],
    changed_outside: false,
    ...change
  };
}

export function vaultState(change: Partial<VaultState> = {}): VaultState {
  return {
    state: 'unlocked',
    custodian: 'passphrase',
    custodian_label: 'Passphrase',
    default: 'passphrase',
    choices: [
      { kind: 'passphrase', label: 'Passphrase', available: true, detail: '' },
      { kind: 'os_keyring', label: 'Secret Service', available: false, detail: 'none answers' }
    ],
    minimum_passphrase_chars: 10,
    created_at: T0,
    storing_allowed: true,
    storing_detail: '',
    hardening_detail: '',
    ...change
  };
}

export function grantView(change: Partial<GrantView['grant']> = {}, around: Partial<GrantView> = {}): GrantView {
  return {
    grant: {
      id: 'g1',
      connection_id: 'c1',
      requester_kind: 'notebook',
      requester_key: 'k',
      requester_label: 'reports/first_steps.ipynb',
      instance: 'kernel 8d2f',
      agent: null,
      mode: 'brokered',
      decision: 'session',
      destination_digest: 'b'.repeat(64),
      created_at: T0,
      expires_at: null,
      decided_by: 'you',
      shown_digest: 'c'.repeat(64),
      agent_hash: null,
      agent_sealed: null,
      ...change
    },
    connection: 'warehouse',
    uses: 3,
    last_used_at: T0,
    counts: true,
    reason_not: '',
    agent_hidden: null,
    ...around
  };
}

export function auditEvent(change: Partial<AuditEvent> = {}): AuditEvent {
  return {
    sequence: 1,
    at: T0,
    type: 'access:used',
    outcome: 'ok',
    code: null,
    connection_id: 'c1',
    connection: 'warehouse',
    field: null,
    requester_kind: 'notebook',
    requester_key: 'k',
    requester_label: 'reports/first_steps.ipynb',
    requester_instance: 'kernel 8d2f',
    agent: null,
    mode: 'brokered',
    decision: 'once',
    decided_by: null,
    grant_id: null,
    question_id: null,
    evidence: null,
    reason_claim: null,
    agent_sealed: null,
    reason_sealed: null,
    claims_hidden: null,
    slot_id: null,
    count: null,
    ...change
  };
}

export function openQuestion(change: Partial<Question> = {}, requester: Partial<Question['requester']> = {}): IOpenQuestion {
  return { question: question(change, requester), endsAt: 60_000 };
}

export const PROPOSAL_ID = `proposal-${'p'.repeat(43)}`;

export function proposal(change: Partial<Proposal> = {}, requester: Partial<Proposal['requester']> = {}): Proposal {
  return {
    id: PROPOSAL_ID,
    provider_id: 'postgresql',
    name: 'sales',
    fields: { host: 'db.suggested', port: 5433 },
    requester: question({}, requester).requester,
    proposed_at: T0,
    expires_at: T0,
    ...change
  };
}

export function auditVerification(change: Partial<AuditVerification> = {}): AuditVerification {
  return { consistent: true, events: 214, first_sequence: 1, keyed: true, broken_at: null, stream: null, ...change };
}

/** Models that hold what they are given and record what is asked of them. */
export class FakeConnvault implements IConnvault {
  readonly calls: unknown[][] = [];
  private readonly record =
    <T>(name: string, answer: T) =>
    (...args: unknown[]): Promise<T> => {
      this.calls.push([name, ...args]);
      return Promise.resolve(answer);
    };

  readonly connections = {
    changed: new Signal<IConnections, void>({} as IConnections),
    items: [connectionView()] as readonly ConnectionView[],
    providers: [provider()] as readonly ProviderDefinition[],
    skipped: [] as IConnections['skipped'],
    revealAllowed: true,
    unreadable: 0,
    isReady: true,
    trouble: '',
    get(idOrName: string) {
      return this.items.find(item => item.connection.id === idOrName || item.connection.name === idOrName);
    },
    provider(id: string) {
      return this.providers.find(item => item.id === id);
    },
    refresh: this.record('refresh', undefined),
    create: this.record('create', connectionView({ id: 'c2', name: 'made' })),
    update: this.record('update', connectionView()),
    remove: this.record('remove', undefined),
    setSecret: this.record('setSecret', connectionView()),
    export: this.record('export', exportedConnections()),
    previewImport: this.record('previewImport', importPreview()),
    import: this.record('import', { connections: [], skipped: [] }),
    test: this.record('test', { ok: true, at: T0, code: null, detail: '', elapsed_ms: 6, server: '' })
  };

  readonly proposals = {
    /** What there is; another id is refused as the server refuses it. */
    known: [proposal()] as readonly Proposal[],
    get(id: string): Promise<Proposal> {
      const found = this.known.find(item => item.id === id);
      const refusal = new ProblemError('proposal_not_found', 'This suggestion has expired. Run the cell again.', 404);
      return found ? Promise.resolve(found) : Promise.reject(refusal);
    }
  };

  readonly workspaces = {
    changed: new Signal<IWorkspaces, void>({} as IWorkspaces),
    items: [] as readonly Workspace[],
    waiting: 0,
    trouble: '',
    folders: [] as readonly ProjectFolder[],
    refresh: this.record('refreshWorkspaces', undefined),
    accept: this.record('accept', connectionView({ status: 'draft', status_reason: 'secret_missing' })),
    forget: this.record('forget', undefined)
  };

  readonly questions = {
    changed: new Signal<IQuestions, void>({} as IQuestions),
    items: [] as readonly IOpenQuestion[],
    refused: 0,
    refresh: this.record('refreshQuestions', undefined),
    decide: this.record('decide', 'decided' as const)
  };

  readonly vault = {
    changed: new Signal<IVault, void>({} as IVault),
    state: vaultState() as VaultState | null,
    seals: true,
    refresh: this.record('refreshVault', undefined),
    setUp: this.record('setUp', undefined),
    unlock: this.record('unlock', undefined),
    lock: this.record('lock', undefined),
    changePassphrase: this.record('changePassphrase', undefined),
    slots: this.record('slots', slotList()),
    addSlot: this.record('addSlot', undefined),
    removeSlot: this.record('removeSlot', undefined),
    rotate: this.record('rotate', undefined)
  };

  readonly activity = {
    changed: new Signal<IActivity, void>({} as IActivity),
    grants: this.record('grants', [grantView()]),
    revoke: this.record('revoke', undefined),
    uses: this.record('uses', [{ day: '2026-11-24', uses: 3 }]),
    events: this.record('events', { events: [auditEvent()], next_before: null }),
    verify: this.record('verify', auditVerification()),
    export: this.record('export', ['a line\n', 'another\n'])
  };
}
