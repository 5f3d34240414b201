/**
 * Checks what the server sent: turns `unknown` into a contract, or throws an error that names the place.
 *
 * Fields that are not known here are left out, so that a newer server can add some. A bad record in a list does not
 * affect the others: it is counted as unreadable.
 */
import type {
  AuditEvent,
  AuditPage,
  AuditVerification,
  Connection,
  ConnectionView,
  CustodianChoice,
  Decided,
  Delivery,
  DeliveryForm,
  Event,
  ExportedAudit,
  FieldError,
  Grant,
  GrantView,
  Problem,
  Proposal,
  ProviderDefinition,
  ProviderList,
  Question,
  Requester,
  SealingKey,
  SecretState,
  SkippedProvider,
  SlotList,
  SlotView,
  StreamState,
  TestOutcome,
  UseDay,
  VaultState,
  WorkspaceRef
} from './contracts';
import type { Decoder, Readable } from './decoders';
import {
  ContractError,
  fieldValue,
  flag,
  isObject,
  list,
  mapping,
  number,
  object,
  oneOf,
  orElse,
  orNull,
  readable,
  schema,
  text,
  time
} from './decoders';

/** The questions that can be shown, and what is needed to refuse those that cannot. */
export interface Questions {
  items: Question[];
  unreadable: { id: string; digest: string }[];
}

const mode = oneOf('brokered', 'in_clear', 'reveal');
const deliveryForm = oneOf<DeliveryForm>('relay', 'hand_over', 'login', 'reveal');
const requesterKind = oneOf('notebook', 'console', 'script', 'detached', 'server');
const decision = oneOf('deny', 'deny_always', 'once', 'session', 'for', 'always');
const duration = oneOf('once', 'session', 'for', 'always');
const custodian = oneOf('passphrase', 'os_keyring', 'key_file');
const hidden = oneOf('locked', 'unreadable');

const delivery = object<Delivery>({
  kind: oneOf('relay', 'login', 'reveal'),
  mode,
  client: text,
  openers: orElse(list(text), []),
  // A closed set on the server; a kind with a protocol that is unknown here still gets its form.
  protocol: orNull(text as Decoder<NonNullable<Delivery['protocol']>>),
  recipe: orElse(mapping(fieldValue as Decoder<string | number | boolean>), {}),
  variables: orElse(mapping(text), {}),
  tcp_variables: orElse(mapping(text), {})
});

const provider = object<ProviderDefinition>({
  id: text,
  name: text,
  description: orElse(text, ''),
  category: orElse(oneOf('database', 'api', 'storage', 'other'), 'other'),
  icon: orElse(text, ''),
  documentation_url: orElse(text, ''),
  fields: schema,
  destination: orElse(text, ''),
  deliveries: list(delivery),
  snippet: orElse(text, ''),
  testable: orElse(flag, false)
});

const skippedProvider = object<SkippedProvider>({ source: text, reason: text });

export function providerList(value: unknown): ProviderList & { unreadable: number } {
  const { items, unreadable } = readable(value, 'providers', provider);
  const skipped = isObject(value) && Array.isArray(value.skipped) ? readable(value, 'skipped', skippedProvider).items : [];
  const reveal_allowed = isObject(value) ? orElse(flag, true)(value.reveal_allowed, 'reveal_allowed') : true;
  return { providers: items, skipped, reveal_allowed, unreadable };
}

const workspaceRef = object<WorkspaceRef>({ root: text, id: text });

const connection = object<Connection>({
  id: text,
  provider_id: text,
  name: text,
  display_name: orElse(text, ''),
  scope: orElse(oneOf('user', 'workspace'), 'user'),
  workspace: orNull(workspaceRef),
  fields: orElse(mapping(fieldValue), {}),
  revision: orElse(number, 1),
  reveal_allowed: orElse(flag, true),
  status: oneOf('ready', 'draft', 'invalid'),
  status_reason: orNull(
    oneOf(
      'secret_missing',
      'fields_missing',
      'destination_changed',
      'secret_unreadable',
      'provider_missing',
      'provider_changed',
      'edited',
      'unconfirmed',
      'workspace_new',
      'workspace_changed',
      'workspace_gone',
      'workspace_unreadable'
    )
  ),
  created_at: time,
  updated_at: time
});

export const testOutcome = object<TestOutcome>({
  ok: flag,
  at: time,
  code: orNull(text),
  detail: text,
  elapsed_ms: number,
  server: orElse(text, '')
});

export const connectionView = object<ConnectionView>({
  connection,
  destination: text,
  secrets: orElse(mapping(object<SecretState>({ ref: text, set_at: time, masked: orElse(flag, true) })), {}),
  modes: orElse(list(mode), []),
  // An older server does not send it; with `login`, only the mode is shown.
  delivery: orElse(deliveryForm, 'login'),
  last_used_at: orNull(time),
  last_test: orNull(testOutcome)
});

export function connectionList(value: unknown): Readable<ConnectionView> {
  return readable(value, 'connections', connectionView);
}

const requester = object<Requester>({
  kind: requesterKind,
  key: text,
  instance: text,
  label: text,
  path: orElse(text, ''),
  kernel: orElse(text, ''),
  pid: number,
  durable: orElse(flag, false),
  evidence: orElse(text, '')
});

export const proposal = object<Proposal>({
  id: text,
  provider_id: orNull(text),
  name: orNull(text),
  fields: orElse(mapping(fieldValue as Decoder<string | number | boolean>), {}),
  requester,
  proposed_at: time,
  expires_at: time
});

const question = object<Question>({
  id: text,
  connection_id: text,
  connection: text,
  display_name: text,
  provider_id: text,
  provider_name: text,
  destination: text,
  requester,
  agent: orNull(text),
  mode,
  reasons: list(text),
  durations: list(duration),
  preselected: orNull(duration),
  once_limit_s: number,
  for_s: number,
  asked_at: time,
  expires_at: time,
  remaining_ms: number,
  digest: text,
  claims_hidden: orNull(hidden)
});

export function questionList(value: unknown): Questions {
  const records = isObject(value) ? value.access_requests : undefined;
  if (!Array.isArray(records)) {
    throw new ContractError('access_requests', 'a list');
  }
  const found: Questions = { items: [], unreadable: [] };
  for (const record of records) {
    try {
      found.items.push(question(record, 'access_requests'));
    } catch (error) {
      console.warn(String(error));
      const part = isObject(record) ? record : {};
      found.unreadable.push({
        id: typeof part.id === 'string' ? part.id : '',
        digest: typeof part.digest === 'string' ? part.digest : ''
      });
    }
  }
  return found;
}

export const decided = object<Decided>({ id: text, decision });

const grantView = object<GrantView>({
  grant: object<Grant>({
    id: text,
    connection_id: text,
    requester_kind: requesterKind,
    requester_key: text,
    requester_label: text,
    instance: orNull(text),
    agent: orNull(text),
    mode,
    decision,
    destination_digest: text,
    created_at: time,
    expires_at: orNull(time),
    decided_by: text,
    shown_digest: orNull(text),
    agent_hash: orNull(text),
    agent_sealed: orNull(text)
  }),
  connection: text,
  uses: number,
  last_used_at: orNull(time),
  counts: flag,
  reason_not: orElse(oneOf('', 'forged', 'expired', 'destination_changed', 'ended', 'changed'), ''),
  agent_hidden: orNull(hidden)
});

export function grantList(value: unknown): Readable<GrantView> {
  return readable(value, 'grants', grantView);
}

const auditEvent = object<AuditEvent>({
  sequence: number,
  at: time,
  // A closed set on the server; a newer type is still a row that a person may want to see.
  type: text as Decoder<AuditEvent['type']>,
  outcome: orElse(oneOf('ok', 'refused', 'failed'), 'ok'),
  code: orNull(text),
  connection_id: orNull(text),
  connection: orNull(text),
  field: orNull(text),
  requester_kind: orNull(requesterKind),
  requester_key: orNull(text),
  requester_label: orNull(text),
  requester_instance: orNull(text),
  agent: orNull(text),
  mode: orNull(mode),
  decision: orNull(decision),
  decided_by: orNull(text),
  grant_id: orNull(text),
  question_id: orNull(text),
  evidence: orNull(text),
  reason_claim: orNull(text),
  agent_sealed: orNull(text),
  reason_sealed: orNull(text),
  claims_hidden: orNull(hidden),
  count: orNull(number),
  slot_id: orNull(text)
});

export function auditPage(value: unknown): AuditPage {
  const next = isObject(value) ? orNull(number)(value.next_before, 'next_before') : null;
  return { events: readable(value, 'events', auditEvent).items, next_before: next };
}

const streamState = object<StreamState>({
  destination: text,
  sent: number,
  failing_since: orNull(time),
  lost: number,
  refused: number
});

export const auditVerification = object<AuditVerification>({
  consistent: flag,
  events: number,
  first_sequence: number,
  keyed: flag,
  broken_at: orNull(number),
  stream: orNull(streamState)
});

export const exportedAudit = object<ExportedAudit>({ text, last: number, next_after: orNull(number) });

export function useDays(value: unknown): UseDay[] {
  return readable(value, 'days', object<UseDay>({ day: text, uses: number })).items;
}

export const vaultState = object<VaultState>({
  state: oneOf('absent', 'locked', 'unlocked'),
  custodian: orNull(custodian),
  custodian_label: text,
  default: orNull(custodian),
  choices: list(object<CustodianChoice>({ kind: custodian, label: text, available: flag, detail: text })),
  minimum_passphrase_chars: number,
  created_at: orNull(time),
  storing_allowed: flag,
  storing_detail: orElse(text, ''),
  hardening_detail: orElse(text, '')
});

export const slotList = object<SlotList>({
  slots: list(
    object<SlotView>({
      id: text,
      kind: custodian,
      label: text,
      created_at: time,
      standing: oneOf('genuine', 'foreign', 'unchecked')
    })
  ),
  changed_outside: flag
});

export const sealingKey = object<SealingKey>({
  key_id: text,
  // A closed set here too: this page does not send what it can't seal.
  suite: oneOf('hpke-p256-sha256-aes256gcm'),
  public_key: text
});

export const event = object<Event>({
  event: oneOf(
    'access_request:asked',
    'access_request:resolved',
    'connections:changed',
    'grants:changed',
    'audit:changed',
    'vault:changed'
  ),
  id: orNull(text)
});

/** Returns the problem, or `null` if the body is not one (a proxy's page, for example). */
export function problem(value: unknown): Required<Pick<Problem, 'code' | 'detail' | 'title' | 'errors'>> | null {
  try {
    return object<Pick<Problem, 'code' | 'detail' | 'title' | 'errors'>>({
      code: text,
      detail: text,
      title: text,
      errors: orElse(list(object<FieldError>({ path: text, message: text })), [])
    })(value);
  } catch {
    return null;
  }
}

export const nothing = (): void => undefined;
