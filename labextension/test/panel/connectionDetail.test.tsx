import { act, screen } from '@testing-library/react';
import { beforeEach, describe, expect, test } from 'vitest';

import { connvault, draw, go, inserted, navigation, press } from '../support/drawnPanel';
import { connectionView, FAILED_TEST, provider, T0 } from '../support/records';

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
    expect(screen.queryByTestId('connvault-field-password')).not.toBeNull();
    await press('connvault-tab-activity');
    await press('connvault-tab-details');
    expect(screen.queryByTestId('connvault-field-password')).toBeNull();
    await act(async () => navigation.go({ name: 'detail', connectionId: 'c1', tab: 'details', asks: 'secret' }));
    expect(screen.queryByTestId('connvault-field-password')).not.toBeNull();
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
    expect(screen.queryByText(/can no longer be read. Replace it/)).not.toBeNull();
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
    expect(screen.queryByText(/is not installed/)).not.toBeNull();
    expect(screen.queryByTestId('connvault-edit')).toBeNull();
    expect(screen.queryByTestId('connvault-delete')).not.toBeNull();
  });

  test('that does not exist (any more) says so', async () => {
    navigation.go({ name: 'detail', connectionId: 'nothing', tab: 'details' });
    await draw();
    expect(screen.queryByText('This no longer exists.')).not.toBeNull();
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
