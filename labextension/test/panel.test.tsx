import { act, fireEvent, render, screen, waitFor, within, cleanup } from '@testing-library/react';
import { beforeEach, describe, expect, test } from 'vitest';

import type { Screen } from '../src/models/navigation';
import { Navigation } from '../src/models/navigation';
import { screenOf } from '../src/models/openArgs';
import { Panel } from '../src/panel/Panel';
import { strengthOf } from '../src/panel/strength';
import { catalogue } from './support/catalogue';
import { auditEvent, connectionView, FakeConnvault, grantView, openQuestion, PROPOSAL_ID, proposal, provider, T0, trans, vaultState } from './support/records';
import { eventWords } from '../src/words/events';
import { statusWord } from '../src/words/status';

const FAILED_TEST = { ok: false, at: T0, code: 'upstream_auth_failed', detail: 'The service refused the login.', elapsed_ms: 9, server: '' };

let connvault: FakeConnvault;
let navigation: Navigation;
let inserted: string[];
let answered: number;

beforeEach(() => {
  connvault = new FakeConnvault();
  navigation = new Navigation();
  inserted = [];
  answered = 0;
});

async function draw(exposure = ''): Promise<void> {
  await act(async () => {
    render(
      <Panel
        connvault={connvault}
        navigation={navigation}
        trans={trans}
        exposure={exposure}
        onInsertCode={id => inserted.push(id)}
        onAnswer={() => answered++}
      />
    );
  });
}

const press = (id: string): Promise<void> =>
  act(async () => {
    fireEvent.click(screen.getByTestId(id));
  });
const go = (at: Screen): Promise<void> =>
  act(async () => {
    navigation.go(at);
  });

describe('the list', () => {
  test('says below what the server says of itself, and nothing if it is closed', async () => {
    await draw();
    expect(screen.queryByTestId('connvault-exposure')).toBeNull();
    await draw('A program of yours can read it.');
    const said = screen.getByTestId('connvault-exposure');
    expect(said.textContent).not.toContain('A program of yours');
    fireEvent.click(within(said).getByRole('button'));
    expect(said.textContent).toContain('A program of yours can read it.');
  });

  test('says below what the system refused of the hardening, also beside what the server says of itself', async () => {
    await draw();
    expect(screen.queryByTestId('connvault-hardening')).toBeNull();
    connvault.vault.state = vaultState({ hardening_detail: 'Any of them can read the secrets in it.' });
    await draw('A program of yours can read it.');
    const said = screen.getByTestId('connvault-hardening');
    expect(said.textContent).toContain('less closed');
    fireEvent.click(within(said).getByRole('button'));
    expect(said.textContent).toContain('Any of them can read the secrets in it.');
    expect(screen.getByTestId('connvault-exposure').textContent).not.toContain('Any of them');
  });

  test('has a row each, in groups, with its state in a word', async () => {
    connvault.connections.items = [
      connectionView(),
      connectionView({ id: 'c2', name: 'staging', status: 'draft', status_reason: 'secret_missing' }),
      connectionView({ id: 'c3', name: 'gone', provider_id: 'nobody', status: 'draft', status_reason: 'provider_missing' })
    ];
    await draw();
    expect(screen.getByTestId('connvault-row-warehouse').textContent).toContain('Ready');
    expect(screen.getByTestId('connvault-row-staging').textContent).toContain('Needs password');
    expect(screen.getByTestId('connvault-row-gone').textContent).toContain('Draft');
    expect([...document.querySelectorAll('h3')].map(item => item.textContent)).toEqual(['Databases', 'Anything else']);
  });

  test('is searched by name, kind and destination', async () => {
    connvault.connections.items = [connectionView(), connectionView({ id: 'c2', name: 'lake' }, { destination: 'bucket' })];
    await draw();
    const search = screen.getByTestId('connvault-search');
    for (const [query, rows] of [
      ['ware', ['warehouse']],
      ['postgres buck', ['lake']],
      ['sales', ['warehouse']],
      ['', ['warehouse', 'lake']]
    ] as const) {
      fireEvent.change(search, { target: { value: query } });
      const found = [...document.querySelectorAll('[data-testid^="connvault-row-"]')];
      expect(found.map(item => item.getAttribute('data-testid')?.replace('connvault-row-', ''))).toEqual(rows);
    }
    fireEvent.change(search, { target: { value: 'nothing' } });
    expect(screen.getByText('No connection is called “nothing”.')).toBeTruthy();
  });

  test('goes from row to row with the arrow keys', async () => {
    connvault.connections.items = [connectionView(), connectionView({ id: 'c2', name: 'zeta' })];
    await draw();
    screen.getByTestId('connvault-row-warehouse').focus();
    fireEvent.keyDown(document.activeElement!, { key: 'ArrowDown' });
    expect(document.activeElement).toBe(screen.getByTestId('connvault-row-zeta'));
  });

  test('shows a name as text, with what hides or reorders spelt out', async () => {
    connvault.connections.items = [connectionView({}, { destination: '<b>x</b>\u202egnp' })];
    await draw();
    expect(screen.getByTestId('connvault-row-warehouse').querySelector('small > span')?.textContent).toBe(
      'PostgreSQL · <b>x</b>[U+202E]gnp'
    );
  });

  test('shows in a word which of them may be revealed', async () => {
    connvault.connections.providers = [
      provider(),
      provider({ id: 'secret', deliveries: provider().deliveries.map(item => ({ ...item, mode: 'reveal' as const })) })
    ];
    connvault.connections.items = [
      connectionView({ reveal_allowed: true }),
      connectionView({ id: 'c2', name: 'kept', reveal_allowed: false }),
      connectionView({ id: 'c3', name: 'key', provider_id: 'secret', reveal_allowed: false })
    ];
    await draw();
    const badge = (name: string): string | undefined =>
      screen.getByTestId(`connvault-row-${name}`).querySelector('.jp-connvault-mayBeRevealed')?.textContent ?? undefined;
    expect([badge('warehouse'), badge('kept'), badge('key')]).toEqual(['may be revealed', undefined, 'may be revealed']);
    cleanup();
    connvault.connections.revealAllowed = false;
    await draw();
    expect([badge('warehouse'), badge('kept'), badge('key')]).toEqual([undefined, undefined, 'may be revealed']);
  });

  test('says that a question waits, from whom, and leads to it', async () => {
    connvault.questions.items = [openQuestion()];
    await draw();
    const banner = screen.getByTestId('connvault-question-banner');
    expect(banner.textContent).toContain('1 request waiting');
    expect(banner.textContent).toContain('first_steps.ipynb asks for warehouse');
    await press('connvault-answer');
    expect(answered).toBe(1);
  });

  test('says when the server does not answer, and tries again', async () => {
    connvault.connections.trouble = 'The Jupyter server does not answer.';
    await draw();
    expect(screen.getByTestId('connvault-trouble').textContent).toContain('does not answer');
    fireEvent.click(screen.getByText('Try again'));
    expect(connvault.calls.map(([name]) => name)).toContain('refresh');
  });

  test('says how many records could not be read', async () => {
    connvault.connections.unreadable = 2;
    await draw();
    expect(screen.getByText('2 records could not be read and are not shown.')).toBeTruthy();
  });

  test('draws a thousand rows, the first ones first', async () => {
    connvault.connections.items = Array.from({ length: 1000 }, (_, at) =>
      connectionView({ id: `c${at}`, name: `name${String(at).padStart(4, '0')}` })
    );
    render(
      <Panel connvault={connvault} navigation={navigation} trans={trans} onInsertCode={() => undefined} onAnswer={() => undefined} />
    );
    expect(document.querySelectorAll('.jp-connvault-row').length).toBeLessThan(100);
    await waitFor(() => expect(document.querySelectorAll('.jp-connvault-row')).toHaveLength(1000), { timeout: 20_000 });
  }, 30_000);
});

test.each([
  ['ready', null, 'unlocked', 'Ready'],
  ['ready', null, 'locked', 'Locked'],
  ['draft', 'secret_missing', 'unlocked', 'Needs password'],
  ['draft', 'destination_changed', 'unlocked', 'Needs password'],
  ['draft', 'fields_missing', 'unlocked', 'Draft'],
  ['draft', 'provider_missing', 'locked', 'Draft'],
  ['invalid', 'secret_unreadable', 'unlocked', 'Replace secret'],
  ['invalid', 'provider_changed', 'unlocked', 'Draft'],
  ['invalid', 'edited', 'unlocked', 'Changed outside'],
  ['draft', 'unconfirmed', 'unlocked', 'Not confirmed']
] as const)('%s with %s in a vault that is %s is called %s', (status, status_reason, vault, word) => {
  expect(statusWord({ connection: { status, status_reason }, last_test: null }, vault, trans).text).toBe(word);
});

test.each([
  ['ready', 'unlocked', true, 'Ready', 'ok'],
  ['ready', 'unlocked', false, 'Test failed', 'warn'],
  ['ready', 'locked', false, 'Locked', 'mute'],
  ['draft', 'unlocked', false, 'Draft', 'mute']
] as const)('%s in a vault that is %s, its last test ok: %s, is called %s', (status, vault, ok, text, tone) => {
  const view = connectionView({ status }, { last_test: { ...FAILED_TEST, ok } });
  expect(statusWord(view, vault, trans)).toEqual({ text, tone });
});

test('a failed test shows in the list and beside the name', async () => {
  connvault.connections.items = [connectionView({}, { last_test: FAILED_TEST })];
  await draw();
  expect(screen.getByTestId('connvault-row-warehouse').textContent).toContain('Test failed');
  fireEvent.click(screen.getByTestId('connvault-row-warehouse'));
  expect(screen.getByTestId('connvault-detail').textContent).toMatch(/^warehouse.*Test failed/);
});

test.each([
  ['access:used', 'brokered', 'once', 'ok'],
  ['access:granted', 'brokered', 'always', 'ok'],
  ['access:revealed', 'reveal', 'once', 'err'],
  ['access:revealed', 'reveal', null, 'err'],
  ['grant:revoked', 'brokered', 'session', 'mute'],
  ['grant:revoked', 'brokered', null, 'mute'],
  ['grant:voided', 'brokered', 'always', 'mute']
] as const)('what happened as %s, %s, decided %s, is told in the tone %s', (type, mode, decision, tone) => {
  expect(eventWords(auditEvent({ type, mode, decision }), trans).outcome?.tone).toBe(tone);
});

test('an edit from outside is told as what it is', () => {
  expect(eventWords(auditEvent({ type: 'connection:edited', outcome: 'failed' }), trans)).toEqual({
    what: 'changed outside connvault',
    outcome: { text: 'not used', tone: 'err' }
  });
});

describe('the vault', () => {
  test('that is not set up is the first thing to see', async () => {
    connvault.vault.state = vaultState({ state: 'absent', custodian: null });
    await draw();
    expect(screen.getByText('Protect your secrets')).toBeTruthy();
    expect(screen.getByText(/No system keyring answers/)).toBeTruthy();
    await press('connvault-setup-later');
    expect(screen.getByTestId('connvault-row-warehouse')).toBeTruthy();
    expect(screen.getByTestId('connvault-vault').textContent).toContain('not protected yet');
  });

  test.each([
    ['short', 'short', 'Use at least 10 characters.'],
    ['long enough phrase', 'another phrase', /not the same/]
  ])('is not set up with %j and %j', async (first, again, words) => {
    connvault.vault.state = vaultState({ state: 'absent', custodian: null });
    await draw();
    (screen.getByTestId('connvault-passphrase') as HTMLInputElement).value = first;
    (screen.getByTestId('connvault-passphrase-again') as HTMLInputElement).value = again;
    await press('connvault-setup-submit');
    expect(screen.getByText(words)).toBeTruthy();
    expect(connvault.calls.map(([name]) => name)).not.toContain('setUp');
  });

  test('is set up with the passphrase, which is then nowhere', async () => {
    connvault.vault.state = vaultState({ state: 'absent', custodian: null });
    await draw();
    const first = screen.getByTestId('connvault-passphrase') as HTMLInputElement;
    const again = screen.getByTestId('connvault-passphrase-again') as HTMLInputElement;
    first.value = again.value = 'canary passphrase 1';
    fireEvent.input(first);
    await press('connvault-setup-submit');
    expect(connvault.calls).toContainEqual(['setUp', 'passphrase', 'canary passphrase 1']);
    expect([first.value, again.value]).toEqual(['', '']);
    expect(document.documentElement.outerHTML).not.toContain('canary');
  });

  test('with a keyring needs no passphrase, but one can be chosen', async () => {
    connvault.vault.state = vaultState({
      state: 'absent',
      custodian: null,
      default: 'os_keyring',
      choices: [{ kind: 'os_keyring', label: 'Secret Service', available: true, detail: '' }]
    });
    await draw();
    expect(screen.queryByTestId('connvault-passphrase')).toBeNull();
    await press('connvault-setup-submit');
    expect(connvault.calls).toContainEqual(['setUp', 'os_keyring', null]);
    await press('connvault-other-custodian');
    expect(screen.getByTestId('connvault-passphrase')).toBeTruthy();
  });

  test('that must not store says why and offers no button', async () => {
    connvault.vault.state = vaultState({
      state: 'absent',
      custodian: null,
      storing_allowed: false,
      storing_detail: 'This server runs without authentication.'
    });
    await draw();
    expect(screen.getByText('This server runs without authentication.')).toBeTruthy();
    expect((screen.getByTestId('connvault-setup-submit') as HTMLButtonElement).disabled).toBe(true);
  });

  test('is unlocked from the footer', async () => {
    connvault.vault.state = vaultState({ state: 'locked' });
    await draw();
    expect(screen.getByTestId('connvault-row-warehouse').textContent).toContain('Locked');
    await press('connvault-unlock-open');
    const input = screen.getByTestId('connvault-unlock-passphrase') as HTMLInputElement;
    input.value = 'canary';
    await act(async () => {
      fireEvent.keyDown(input, { key: 'Enter' });
    });
    expect(connvault.calls).toContainEqual(['unlock', 'canary']);
    expect(input.value).toBe('');
    expect(navigation.screen.name).toBe('list');
  });

  test.each([
    ['setting it up', 'absent', { name: 'setup' }],
    ['unlocking it', 'locked', { name: 'unlock' }],
    ['a new connection', 'unlocked', { name: 'create', providerId: 'postgresql' }],
    ['a new connection while it is locked', 'locked', { name: 'create', providerId: 'postgresql' }]
  ] as const)('says once at %s that this page can not seal what is typed, where it can not', async (_, state, at) => {
    connvault.vault.state = vaultState({ state, custodian: state === 'absent' ? null : 'passphrase' });
    navigation.go(at);
    await draw();
    expect(screen.queryAllByTestId('connvault-not-sealed')).toHaveLength(0);
    connvault.vault.seals = false;
    await act(async () => connvault.vault.changed.emit());
    // The form of a connection is loaded when it is first shown.
    expect(await screen.findAllByTestId('connvault-not-sealed')).toHaveLength(1);
  });

  test('is locked from the footer', async () => {
    await draw();
    await press('connvault-lock');
    expect(connvault.calls).toContainEqual(['lock']);
  });
});

test.each([
  ['short', 'short'],
  ['aaaaaaaaaaaa', 'weak'],
  ['abcdefghijkl', 'weak'],
  ['password1234', 'weak'],
  ['password password', 'weak'],
  ['vienna-2026-x', 'fair'],
  ['correct horse battery staple', 'strong'],
  ['k7#Qm2!xVp9$Lw', 'strong']
])('the passphrase %j is %s', async (passphrase, strength) => {
  expect((await strengthOf(passphrase, 10)).strength).toBe(strength);
});

describe('one connection', () => {
  beforeEach(() => navigation.go({ name: 'detail', connectionId: 'c1', tab: 'details' }));

  test.each([
    [false, 'Too short or too easy to guess'],
    [true, null]
  ])('a secret that is too weak to be masked says so, any other says nothing', async (masked, said) => {
    connvault.connections.items = [
      connectionView({}, { secrets: { password: { ref: 'r1', set_at: T0, masked } } })
    ];
    await draw();
    const hint = screen.queryByTestId('connvault-unmasked-password');
    expect(hint?.textContent?.slice(0, 30) ?? null).toBe(said);
  });

  test('tells where it goes, that its secret is set, and how notebooks use it', async () => {
    await draw();
    const text = screen.getByTestId('connvault-detail').textContent ?? '';
    expect(text).toContain('db.internal:5432/sales');
    expect(text).toMatch(/PasswordSet .* agoReplace|PasswordSet just nowReplace/);
    expect(screen.getByTestId('connvault-how-brokered').textContent).toBe(
      'brokered, hand-overconnvault logs in; the secret never enters the notebook. ' +
        'It then hands over the open connection, so queries are as fast as without connvault.'
    );
    expect(screen.queryByTestId('connvault-reveal-off')).toBeNull();
    expect(screen.getByTestId('connvault-reveal-on').textContent).toBe(
      'Notebook code may ask for the plain text. You are asked each time.'
    );
  });

  test.each([
    ['brokered', 'relay', 'brokered, relayconnvault logs in; the secret never enters the notebook. What code sends and receives goes through connvault.'],
    ['in_clear', 'login', "in the clearThe secret passes through the notebook's process. "],
    ['reveal', 'reveal', 'plain textCode can read, print and copy it. You are asked each time. ']
  ] as const)('that is %s by %s says so', async (mode, delivery, words) => {
    connvault.connections.items = [connectionView({}, { modes: [mode], delivery })];
    await draw();
    expect(screen.getByTestId(`connvault-how-${mode}`).textContent).toBe(words);
  });

  test('says that plain text is off, unless there is nothing else', async () => {
    connvault.connections.items = [connectionView({ reveal_allowed: false })];
    await draw();
    expect(screen.getByTestId('connvault-reveal-off').textContent).toBe('Notebook code may not ask for the plain text.');
  });

  test('says that plain text is off for all connections of this server', async () => {
    connvault.connections.revealAllowed = false;
    connvault.connections.items = [connectionView({ reveal_allowed: true })];
    await draw();
    expect(screen.queryByTestId('connvault-reveal-on')).toBeNull();
    expect(screen.getByTestId('connvault-reveal-off').textContent).toBe('This server never lets notebook code ask for the plain text.');
  });

  test('of plain text alone does not say that it is off', async () => {
    connvault.connections.providers = [provider({ deliveries: provider().deliveries.map(item => ({ ...item, mode: 'reveal' })) })];
    connvault.connections.items = [connectionView({ reveal_allowed: false }, { modes: ['reveal'], delivery: 'reveal' })];
    await draw();
    expect(screen.queryByTestId('connvault-reveal-off')).toBeNull();
    expect(screen.queryByTestId('connvault-reveal-on')).toBeNull();
  });

  test('tells with each permission how the secret travels, as far as that is still so', async () => {
    connvault.activity.grants = async () => [
      grantView(),
      grantView({ id: 'g2', mode: 'in_clear' }),
      grantView({ id: 'g3' }, { counts: false, reason_not: 'destination_changed' }),
      grantView({ id: 'g4', decision: 'deny_always' }),
      grantView({ id: 'g5' }, { counts: false, reason_not: 'changed' }),
      grantView({ id: 'g6', agent: 'claude' }),
      grantView({ id: 'g7' }, { agent_hidden: 'locked' })
    ];
    await draw();
    await press('connvault-tab-grants');
    const rows = [...document.querySelectorAll('.jp-connvault-grant small')].map(item => item.textContent);
    expect(rows[0]).toMatch(/^until kernel stops · brokered, hand-over · 3 uses/);
    expect(rows[1]).toMatch(/^until kernel stops · in the clear · 3 uses/);
    expect(rows[2]).toMatch(/^void: the destination was changed · brokered · 3 uses/);
    expect(rows[3]).not.toContain('brokered');
    expect(rows[4]).toMatch(/^void: the connection was changed · brokered · 3 uses/);
    expect(rows[5]).toContain('only for claude');
    expect(rows[6]).toContain('only for an agent (hidden while locked)');
  });

  test('gives its code to the notebook', async () => {
    await draw();
    await press('connvault-insert-code');
    expect(inserted).toEqual(['c1']);
  });

  test('takes a new secret, which is then nowhere', async () => {
    await draw();
    await press('connvault-replace-password');
    (screen.getByTestId('connvault-field-password') as HTMLInputElement).value = 'hunter2-canary';
    await press('connvault-replace-password-save');
    expect(connvault.calls).toContainEqual(['setSecret', 'c1', 'password', 'hunter2-canary', 3]);
    expect(document.documentElement.outerHTML).not.toContain('hunter2-canary');
    expect(connvault.calls).toContainEqual(['test', 'c1']);
  });

  test('sends a secret for what stood there when it was begun, and after a refusal for what stands there now', async () => {
    await draw();
    await press('connvault-replace-password');
    connvault.connections.items = [connectionView({ revision: 4 }, { destination: 'elsewhere.test:5432/sales' })];
    await act(async () => connvault.connections.changed.emit());
    const taken = connvault.connections.setSecret;
    const seen: unknown[] = [];
    connvault.connections.setSecret = async (...sent: unknown[]) => {
      seen.push(sent.at(-1));
      if (seen.length === 1) {
        throw new Error('The connection was changed in the meantime.');
      }
      return taken(...sent);
    };
    while (seen.length < 2) {
      (screen.getByTestId('connvault-field-password') as HTMLInputElement).value = 'hunter2-canary';
      await press('connvault-replace-password-save');
    }
    expect(seen).toEqual([3, 4]);
  });

  test('says at the secret that this page can not seal it, where it can not', async () => {
    await draw();
    await press('connvault-replace-password');
    expect(screen.queryByTestId('connvault-not-sealed')).toBeNull();
    connvault.vault.seals = false;
    await act(async () => connvault.vault.changed.emit());
    expect(screen.getByTestId('connvault-not-sealed').textContent).toContain('not on a secure origin');
  });

  test('is opened at its secret when that is what has to be entered, and only then', async () => {
    navigation.go({ name: 'detail', connectionId: 'c1', tab: 'details', asks: 'secret' });
    await draw();
    expect(screen.getByTestId('connvault-field-password')).toBeTruthy();
    await press('connvault-tab-activity');
    await press('connvault-tab-details');
    expect(screen.queryByTestId('connvault-field-password')).toBeNull();
    await act(async () => navigation.go({ name: 'detail', connectionId: 'c1', tab: 'details', asks: 'secret' }));
    expect(screen.getByTestId('connvault-field-password')).toBeTruthy();
  });

  test('wants to be edited, not used, when its last test has failed', async () => {
    const failed = { ok: false, at: T0, code: 'upstream_unreachable', detail: 'No.', elapsed_ms: 9, server: '' };
    connvault.connections.items = [connectionView({}, { last_test: failed })];
    await draw();
    expect(screen.getByTestId('connvault-edit').className).toContain('jp-mod-primary');
    expect(screen.getByTestId('connvault-insert-code').className).not.toContain('jp-mod-primary');
    expect(screen.getByTestId('connvault-test').textContent).toBe('Test again');
  });

  test('shows what a test found', async () => {
    connvault.connections.items = [connectionView({}, { last_test: FAILED_TEST })];
    await draw();
    expect(screen.getByTestId('connvault-last-test').textContent).toContain('The service refused the login.');
    await press('connvault-test');
    expect(connvault.calls).toContainEqual(['test', 'c1']);
  });

  test('says what to do when it cannot be used', async () => {
    connvault.connections.items = [connectionView({ status: 'invalid', status_reason: 'secret_unreadable' })];
    await draw();
    expect(screen.getByText(/can no longer be read. Replace it/)).toBeTruthy();
  });

  test('that was changed outside says so, is edited before a secret is entered, and keeps none', async () => {
    connvault.connections.items = [
      connectionView({ status: 'invalid', status_reason: 'edited' }, { secrets: { password: { ref: 'r', set_at: FAILED_TEST.at, masked: true } } })
    ];
    await draw();
    expect(document.querySelector('.jp-connvault-banner')?.textContent).toContain('was changed outside connvault. It is not used');
    expect(screen.queryByTestId('connvault-replace-password')).toBeNull();
    await press('connvault-edit');
    await screen.findByTestId('connvault-form');
    expect(screen.queryByText(/^Set /)).toBeNull();
  });

  test('that nobody has confirmed can be given its secret at once', async () => {
    connvault.connections.items = [
      connectionView({ status: 'draft', status_reason: 'unconfirmed' }, { secrets: { password: { ref: 'r', set_at: FAILED_TEST.at, masked: true } } })
    ];
    await draw();
    expect(document.querySelector('.jp-connvault-banner')?.textContent).toContain('or enter its secret');
    expect(screen.getByTestId('connvault-replace-password').textContent).toBe('Enter');
    expect(screen.queryByText(/^Set /)).toBeNull();
  });

  test('is deleted only when that is confirmed', async () => {
    await draw();
    await press('connvault-delete');
    expect(connvault.calls.map(([name]) => name)).not.toContain('remove');
    await press('connvault-delete-confirm');
    expect(connvault.calls).toContainEqual(['remove', 'c1', 3]);
    expect(navigation.screen.name).toBe('list');
  });

  test('of a kind that is gone is still shown and can be deleted', async () => {
    connvault.connections.providers = [];
    connvault.connections.items = [connectionView({ status: 'draft', status_reason: 'provider_missing' })];
    await draw();
    expect(screen.getByText(/is not installed/)).toBeTruthy();
    expect(screen.queryByTestId('connvault-edit')).toBeNull();
    expect(screen.getByTestId('connvault-delete')).toBeTruthy();
  });

  test('that does not exist (any more) says so', async () => {
    navigation.go({ name: 'detail', connectionId: 'nothing', tab: 'details' });
    await draw();
    expect(screen.getByText('This no longer exists.')).toBeTruthy();
  });

  test('lists who may use it, and takes it back', async () => {
    connvault.activity.grants = async () => [
      grantView(),
      grantView({ id: 'g2', decision: 'deny_always', requester_label: 'scratch.ipynb' }, { uses: 0, last_used_at: null }),
      grantView({ id: 'g3', decision: 'always' }, { counts: false, reason_not: 'destination_changed' })
    ];
    await draw();
    expect(screen.getByTestId('connvault-tab-grants').textContent).toBe('Who may use it · 2');
    await press('connvault-tab-grants');
    const panel = screen.getByRole('tabpanel');
    expect(panel.textContent).toContain('until kernel stops · brokered, hand-over · 3 uses');
    expect(panel.textContent).toContain('void: the destination was changed');
    expect(screen.getByTestId('connvault-revoke-g2').textContent).toBe('Undo');
    await press('connvault-revoke-g1');
    expect(connvault.calls).toContainEqual(['revoke', 'g1']);
  });

  test('"Revoke all" leaves what was said never', async () => {
    connvault.activity.grants = async () => [grantView(), grantView({ id: 'g2', decision: 'deny_always' })];
    await draw();
    await press('connvault-tab-grants');
    await press('connvault-revoke-all');
    expect(connvault.calls.filter(([name]) => name === 'revoke')).toEqual([['revoke', 'g1']]);
  });

  test('tells that code said something where that can not be shown, and how often it was refused', async () => {
    connvault.activity.events = async () => ({
      events: [
        auditEvent({ sequence: 3, type: 'access:refused', outcome: 'refused', requester_label: null, connection: null, count: 412 }),
        auditEvent({ sequence: 2, claims_hidden: 'locked' }),
        auditEvent({ sequence: 1, claims_hidden: 'unreadable' })
      ],
      next_before: null
    });
    await draw();
    await press('connvault-tab-activity');
    const rows = [...document.querySelectorAll('[role=tabpanel] li')].map(item => item.textContent);
    expect(rows[0]).toMatch(/processes outside kernels · asked ×412refused/);
    expect(rows[1]).toContain('what the code said: (hidden while locked)');
    expect(rows[2]).toContain('what the code said: (can’t be read)');
  });

  test('tells who, what, when and how it went', async () => {
    connvault.activity.events = async () => ({
      events: [
        auditEvent({ sequence: 7 }),
        auditEvent({ sequence: 6, type: 'access:checked' }),
        auditEvent({ sequence: 5, type: 'access:asked', question_id: 'q2', requester_label: 'open.ipynb' }),
        auditEvent({ sequence: 4, type: 'access:granted', question_id: 'q1', reason_claim: 'monthly\u202e report' }),
        auditEvent({ sequence: 3, type: 'access:asked', question_id: 'q1' }),
        auditEvent({ sequence: 2, type: 'access:denied', decision: 'deny', requester_label: 'etl.ipynb' }),
        auditEvent({ sequence: 1, type: 'connection:created', requester_label: null, decision: null, mode: null })
      ],
      next_before: null
    });
    await draw();
    await press('connvault-tab-activity');
    const rows = [...document.querySelectorAll('[role=tabpanel] li')].map(item => item.textContent);
    expect(rows).toHaveLength(5);
    expect(rows[0]).toMatch(/first_steps\.ipynb · used ×2this timebrokered$/);
    expect(rows[1]).toMatch(/open\.ipynb · askedwaiting/);
    expect(rows[2]).toContain('“monthly report”');
    expect(rows[3]).toMatch(/etl\.ipynb · askeddenied/);
    expect(rows[4]).toMatch(/you · created/);
    expect(screen.getByTestId('connvault-record').textContent).toBe('Activity log consistent, 214 events');
  });

  test('tells a test that failed once', async () => {
    const tested = { type: 'connection:tested', requester_label: null, decision: null, mode: null } as const;
    connvault.activity.events = async () => ({
      events: [auditEvent({ ...tested, sequence: 2, outcome: 'failed' }), auditEvent({ ...tested, sequence: 1 })],
      next_before: null
    });
    await draw();
    await press('connvault-tab-activity');
    const rows = [...document.querySelectorAll('[role=tabpanel] li')].map(item => item.textContent);
    expect(rows).toEqual([expect.stringMatching(/you · testedfailed$/)]);
  });

  test('shows older rows when they are asked for', async () => {
    connvault.activity.events = async (_?: unknown, before?: unknown) =>
      before === undefined
        ? { events: [auditEvent({ sequence: 2 })], next_before: 2 as never }
        : { events: [auditEvent({ sequence: 1, type: 'connection:created' })], next_before: null };
    await draw();
    await press('connvault-tab-activity');
    await act(async () => {
      fireEvent.click(screen.getByText('Show older'));
    });
    expect(document.querySelectorAll('[role=tabpanel] li')).toHaveLength(2);
  });

  test('says that the record was changed', async () => {
    connvault.activity.verify = async () => ({ consistent: false, events: 9, first_sequence: 1, keyed: true, broken_at: 7 as never });
    await draw();
    await press('connvault-tab-activity');
    expect(screen.getByTestId('connvault-record').textContent).toContain('at event 7');
  });
});

describe('the picker', () => {
  test('shows kinds with icon, name and description, and leads to the form', async () => {
    connvault.connections.providers = [provider({ icon: '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' })];
    await draw();
    await press('connvault-new');
    const tile = screen.getByTestId('connvault-provider-postgresql');
    expect(tile.textContent).toContain('A PostgreSQL database.');
    expect(tile.querySelector('svg script')).toBeNull();
    expect(tile.querySelector('img')?.getAttribute('src')).toMatch(/^data:image\/svg\+xml/);
    await press('connvault-provider-postgresql');
    await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
  });

  describe('with many kinds', () => {
    const KINDS = [
      ['secret', 'Secret value', 'other'],
      ['ssh', 'SSH', 'other'],
      ['http', 'HTTP API', 'api'],
      ['openai', 'OpenAI-compatible API', 'api'],
      ['elasticsearch', 'Elasticsearch', 'api'],
      ['s3', 'S3-compatible storage', 'storage'],
      ['redis', 'Redis', 'database'],
      ['postgresql', 'PostgreSQL', 'database'],
      ['mysql', 'MySQL or MariaDB', 'database']
    ] as const;
    const shown = (): (string | undefined)[] =>
      [...document.querySelectorAll<HTMLElement>('.jp-connvault-tile')].map(tile => tile.dataset.testid?.replace('connvault-provider-', ''));
    const titles = (): (string | null)[] =>
      [...document.querySelectorAll('.jp-connvault-side h3')].map(item => item.textContent);
    const search = (value: string): void =>
      void fireEvent.change(screen.getByTestId('connvault-picker-search'), { target: { value } });

    beforeEach(async () => {
      connvault.connections.providers = KINDS.map(([id, name, category]) =>
        provider({ id, name, category, description: id === 's3' ? 'Buckets and their files.' : '' })
      );
      navigation.go({ name: 'picker' });
      await draw();
    });

    test('groups them, by name, and what fits anything last', () => {
      expect(titles()).toEqual(['Databases', 'APIs', 'Storage', 'Anything else']);
      expect(shown()).toEqual(['mysql', 'postgresql', 'redis', 'elasticsearch', 'openai', 'http', 's3', 'ssh', 'secret']);
    });

    test.each([
      ['maria', ['mysql']],
      ['api', ['openai', 'http', 'elasticsearch']],
      ['s', ['s3', 'ssh', 'secret', 'mysql', 'postgresql', 'redis', 'elasticsearch', 'openai', 'http']],
      ['bucket', ['s3']],
      ['databases', ['mysql', 'postgresql', 'redis']],
      ['  Open   AI', ['openai']],
      ['nothing like it', []]
    ])('%j finds %j, the best first', (query, found) => {
      search(query);
      expect(shown()).toEqual(found);
      expect(titles()).toEqual([]);
      expect([...document.querySelectorAll('[data-first]')].length).toBe(found.length ? 1 : 0);
    });

    test('takes the best with Enter', async () => {
      search('maria');
      fireEvent.keyDown(screen.getByTestId('connvault-picker-search'), { key: 'Enter' });
      await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
      expect(navigation.screen).toMatchObject({ name: 'create', providerId: 'mysql' });
    });

    test('goes with the arrow keys as the eye does', () => {
      // Two columns in each group; a group's rows are 50 px apart, groups 200.
      const columns: { [id: string]: [number, number] } = {
        mysql: [0, 0], postgresql: [1, 0], redis: [0, 50],
        elasticsearch: [0, 200], openai: [1, 200], http: [0, 250],
        s3: [0, 400], ssh: [0, 600], secret: [1, 600]
      };
      for (const tile of document.querySelectorAll<HTMLElement>('.jp-connvault-tile')) {
        const [column, top] = columns[tile.dataset.testid!.replace('connvault-provider-', '')];
        tile.getBoundingClientRect = () => ({ left: column * 150, top }) as DOMRect;
      }
      const at = (): string | undefined => (document.activeElement as HTMLElement).dataset.testid?.replace('connvault-provider-', '');
      const walk = (key: string): void => void fireEvent.keyDown(document.activeElement!, { key });
      screen.getByTestId('connvault-picker-search').focus();
      const way: [string, string][] = [
        ['ArrowDown', 'mysql'], ['ArrowRight', 'postgresql'], ['ArrowDown', 'redis'], ['ArrowDown', 'elasticsearch'],
        ['ArrowRight', 'openai'], ['ArrowDown', 'http'], ['ArrowDown', 's3'], ['ArrowUp', 'http'], ['ArrowUp', 'elasticsearch'],
        ['End', 'secret'], ['ArrowRight', 'secret'], ['ArrowDown', 'secret'], ['Home', 'mysql'], ['ArrowLeft', 'mysql'], ['ArrowUp', 'connvault-picker-search']
      ];
      for (const [key, expected] of way) {
        walk(key);
        expect(at()).toBe(expected);
      }
    });
  });

  test('names the kinds that could not be used', async () => {
    connvault.connections.skipped = [{ source: 'odd.json', reason: 'no fields' }];
    navigation.go({ name: 'picker' });
    await draw();
    expect(screen.getByText('1 kind could not be used')).toBeTruthy();
    expect(screen.getByText(/no fields/)).toBeTruthy();
  });

  test('takes a pasted URL apart; its password is in no state', async () => {
    navigation.go({ name: 'picker' });
    await draw();
    await act(async () => {
      fireEvent.paste(screen.getByTestId('connvault-picker-search'), {
        clipboardData: { getData: () => 'postgresql://app:hunter2-canary@db.internal/sales' }
      });
    });
    await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
    expect((screen.getByTestId('connvault-field-host') as HTMLInputElement).value).toBe('db.internal');
    expect((screen.getByTestId('connvault-field-password') as HTMLInputElement).value).toBe('hunter2-canary');
    expect(JSON.stringify(navigation.screen)).not.toContain('hunter2-canary');
    expect(document.documentElement.outerHTML).not.toContain('hunter2-canary');
  });
});

describe('the search of the picker', () => {
  const box = (): HTMLInputElement => screen.getByTestId('connvault-picker-search');
  const paste = (text: string): Promise<void> =>
    act(async () => {
      fireEvent.paste(box(), { clipboardData: { getData: () => text } });
    });
  const typeIn = (value: string): void => void fireEvent.change(box(), { target: { value } });

  beforeEach(async () => {
    connvault.connections.providers = ['postgresql', 'mysql', 'redis', 'http'].map(catalogue);
    navigation.go({ name: 'picker' });
    await draw();
  });

  test.each([
    ['mysql://app:hunter2-canary@db.internal/sales', 'host', 'db.internal'],
    ['rediss://:hunter2-canary@cache.internal/3', 'database', '3'],
    ['https://app:hunter2-canary@api.example.com', 'base_url', 'https://api.example.com']
  ])('takes %j apart, pasted or with Enter', async (text, field, value) => {
    typeIn(text);
    expect(screen.getByText('Press Enter to fill in a form with it.')).toBeTruthy();
    await act(async () => void fireEvent.keyDown(box(), { key: 'Enter' }));
    await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
    expect((screen.getByTestId(`connvault-field-${field}`) as HTMLInputElement).value).toBe(value);
    expect((screen.getByTestId('connvault-field-password') as HTMLInputElement).value).toBe('hunter2-canary');
    await go({ name: 'picker' });
    await paste(text);
    await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
    expect((screen.getByTestId('connvault-field-password') as HTMLInputElement).value).toBe('hunter2-canary');
    expect(document.documentElement.outerHTML).not.toContain('hunter2-canary');
  });

  test.each(['mongodb://app:hunter2-canary@db/sales', 'curl -u app:hunter2-canary https://api.example.com'])(
    'does not keep %j, and says so',
    async text => {
      await paste(text);
      expect(screen.getByRole('alert').textContent).toContain('removed from the box');
      typeIn(text);
      expect(box().value).toBe('');
      expect(document.documentElement.outerHTML).not.toContain('hunter2-canary');
      expect(screen.getByTestId('connvault-provider-mysql')).toBeTruthy();
    }
  );

  test('says so while the rest is typed, until the box is emptied', () => {
    typeIn('mongodb://app:hunter2-canary@');
    expect(box().value).toBe('');
    typeIn('db/sales');
    expect(screen.getByRole('alert')).toBeTruthy();
    typeIn('');
    expect(screen.queryByRole('alert')).toBeNull();
  });

  test('does not keep a URL of a kind that is not offered', async () => {
    await act(async () => {
      connvault.connections.providers = [catalogue('http')];
      connvault.connections.changed.emit();
    });
    await paste('mysql://app:hunter2-canary@db/sales');
    expect(screen.getByRole('alert')).toBeTruthy();
    expect(box().value).toBe('');
  });

  test('leaves an address without a password to be read', () => {
    typeIn('mongodb://db:27017');
    expect(box().value).toBe('mongodb://db:27017');
    expect(screen.getByText(/No kind has this name/)).toBeTruthy();
  });
});

test('the form of a locked vault offers to unlock it first', async () => {
  connvault.vault.state = vaultState({ state: 'locked' });
  navigation.go({ name: 'create', providerId: 'postgresql' });
  await draw();
  await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
  expect(screen.getByTestId('connvault-unlock')).toBeTruthy();
});

describe('the focus', () => {
  const focused = (): string | null | undefined => document.activeElement?.getAttribute('data-testid');

  test('comes when it is asked for', async () => {
    await draw();
    expect(document.activeElement).toBe(document.body);
    await act(async () => navigation.focus());
    expect(focused()).toBe('connvault-new');
  });

  test('waits for what is not drawn yet', async () => {
    navigation.focus();
    await draw();
    expect(focused()).toBe('connvault-new');
  });

  test('stays in a dialog', async () => {
    await draw();
    const dialog = document.body.appendChild(document.createElement('dialog'));
    const answer = dialog.appendChild(document.createElement('button'));
    answer.focus();
    await act(async () => navigation.focus());
    expect(document.activeElement).toBe(answer);
    dialog.remove();
  });

  test('goes back to the row that was left', async () => {
    navigation.go({ name: 'detail', connectionId: 'c1', tab: 'details' });
    await draw();
    await press('connvault-back');
    expect(focused()).toBe('connvault-row-warehouse');
  });

  test('goes from the search into the rows, and Enter opens the first that is found', async () => {
    await draw();
    const search = screen.getByTestId('connvault-search');
    act(() => search.focus());
    fireEvent.keyDown(search, { key: 'ArrowDown' });
    expect(focused()).toBe('connvault-row-warehouse');
    fireEvent.keyDown(search, { key: 'Enter' });
    expect(navigation.screen.name).toBe('list');
    fireEvent.change(search, { target: { value: 'ware' } });
    await act(async () => void fireEvent.keyDown(search, { key: 'Enter' }));
    expect(navigation.screen).toEqual({ name: 'detail', connectionId: 'c1', tab: 'details' });
  });

  test('goes on from the picker with what was searched and the name that was suggested', async () => {
    const named = proposal({ provider_id: null, name: 'wharehouse', fields: {} });
    navigation.go({ name: 'picker', proposal: named });
    await draw();
    expect(screen.getByText('connection("wharehouse")')).toBeTruthy();
    expect(screen.getByTestId('connvault-suggestion').textContent).toContain('suggested by the notebook');
    const search = screen.getByTestId('connvault-picker-search');
    fireEvent.change(search, { target: { value: 'post' } });
    await act(async () => void fireEvent.keyDown(search, { key: 'Enter' }));
    expect(navigation.screen).toEqual({ name: 'create', providerId: 'postgresql', proposal: named });
  });
});

test('a focused control keeps the shortcuts of a notebook off', async () => {
  await draw();
  act(() => screen.getByTestId('connvault-new').focus());
  expect(screen.getByTestId('connvault-new').getAttribute('data-lm-suppress-shortcuts')).toBe('true');
});

describe('opening', () => {
  test.each([
    [{ name: 'warehouse', screen: 'secret' }, { name: 'detail', connectionId: 'c1', tab: 'details', asks: 'secret' }],
    [{ name: 'warehouse', screen: 'edit' }, { name: 'edit', connectionId: 'c1' }],
    [{ name: 'gone', screen: 'edit' }, { name: 'detail', connectionId: 'gone', tab: 'details' }],
    [{ screen: 'secret' }, null],
    [{}, null],
    [{ connectionId: 'c1' }, { name: 'detail', connectionId: 'c1', tab: 'details' }],
    [{ name: 'warehouse', tab: 'grants' }, { name: 'detail', connectionId: 'c1', tab: 'grants' }],
    [{ name: 'nothing', tab: 'odd' }, { name: 'detail', connectionId: 'nothing', tab: 'details' }],
    [{ new: true, name: 'sales' }, { name: 'picker' }],
    ...['prefill', 'fields', 'values', 'data', 'place', 'draft'].map(key => [
      { new: 'postgresql', name: 'sales', host: 'evil', port: 1, [key]: { host: 'evil', fields: { host: 'evil' } } },
      { name: 'create', providerId: 'postgresql' }
    ]),
    [{ new: 'nobody' }, { name: 'picker' }],
    [{ proposal: PROPOSAL_ID, name: 'x', new: 'postgresql', host: 'evil' }, { name: 'proposal', id: PROPOSAL_ID }],
    [{ proposal: { id: PROPOSAL_ID, fields: { host: 'evil' } } }, null],
    [{ proposal: 'proposal-short' }, null],
    [{ proposal: `${PROPOSAL_ID}/../connections` }, null],
    [{ screen: 'questions' }, { name: 'list' }],
    [{ screen: 'unlock' }, { name: 'list' }],
    [{ screen: 'setup' }, { name: 'list' }],
    [{ new: 7, connectionId: 7 }, { name: 'picker' }],
    [{ connectionId: 7, name: {} }, null]
  ] as [{ [name: string]: unknown }, Screen | null][])('%j leads to %j', (args, at) => {
    expect(screenOf(args, connvault)).toEqual(at);
  });

  test.each([
    ['locked', 'unlock', 'unlock'],
    ['absent', 'unlock', 'setup'],
    ['absent', 'setup', 'setup'],
    ['locked', 'setup', 'list']
  ] as const)('of a vault that is %s with %s leads to %s', (state, wanted, name) => {
    connvault.vault.state = vaultState({ state });
    expect(screenOf({ screen: wanted }, connvault)?.name).toBe(name);
  });
});

test('going to another connection shows its own rows', async () => {
  connvault.connections.items = [connectionView(), connectionView({ id: 'c2', name: 'other' })];
  navigation.go({ name: 'detail', connectionId: 'c1', tab: 'activity' });
  await draw();
  await go({ name: 'detail', connectionId: 'c2', tab: 'activity' });
  expect(connvault.calls).toContainEqual(['events', 'c2']);
});

test('what a link named and is not there is left without trouble', async () => {
  navigation.go({ name: 'detail', connectionId: '"]{"new": 1}', tab: 'details' });
  await draw();
  await press('connvault-back');
  expect(document.activeElement).toBe(screen.getByTestId('connvault-new'));
});

describe('a suggestion', () => {
  test('opens the form of its kind, as the server told it', async () => {
    navigation.go({ name: 'proposal', id: PROPOSAL_ID });
    await draw();
    expect(navigation.screen).toEqual({ name: 'create', providerId: 'postgresql', proposal: proposal() });
    const host = await screen.findByTestId<HTMLInputElement>('connvault-field-host');
    expect(host.value).toBe('db.suggested');
  });

  test('of a name alone opens the picker', async () => {
    connvault.proposals.known = [proposal({ provider_id: null, fields: {} })];
    navigation.go({ name: 'proposal', id: PROPOSAL_ID });
    await draw();
    expect(navigation.screen.name).toBe('picker');
    expect(screen.getAllByText('connection("sales")').map(shown => shown.tagName)).toEqual(['CODE']);
  });

  test.each([
    ['postgresql', { name: 'create', providerId: 'postgresql' }],
    ['', { name: 'picker' }]
  ])('that has expired says so, and offers an empty form of %j', async (providerId, at) => {
    navigation.go({ name: 'proposal', id: `proposal-${'x'.repeat(43)}`, providerId });
    await draw();
    expect(screen.getByTestId('connvault-expired').textContent).toContain(
      'This suggestion has expired. Run the cell again.'
    );
    await press('connvault-empty-form');
    expect(navigation.screen).toEqual(at);
  });

  test('does not take over a form of the same kind that is half filled in: it is another form', async () => {
    navigation.go({ name: 'create', providerId: 'postgresql' });
    await draw();
    const before = await screen.findByTestId<HTMLInputElement>('connvault-field-password');
    before.value = 'typed-for-another-host';
    await go({ name: 'create', providerId: 'postgresql', proposal: proposal() });
    const after = await screen.findByTestId<HTMLInputElement>('connvault-field-password');
    expect(after.value).toBe('');
    expect(after.disabled).toBe(true);
  });
});
