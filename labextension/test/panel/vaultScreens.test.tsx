import { act, fireEvent, screen, waitFor } from '@testing-library/react';
import { describe, expect, test } from 'vitest';

import { connvault, draw, navigation, press } from '../support/drawnPanel';
import { vaultState } from '../support/records';

describe('the vault', () => {
  test('that is not set up is the first thing to see', async () => {
    connvault.vault.state = vaultState({ state: 'absent', custodian: null });
    await draw();
    expect(screen.queryByText('Protect your secrets')).not.toBeNull();
    expect(screen.queryByText(/No system keyring answers/)).not.toBeNull();
    await press('connvault-setup-later');
    expect(screen.queryByTestId('connvault-row-warehouse')).not.toBeNull();
    expect(screen.getByTestId('connvault-vault').textContent).toContain('not protected yet');
  });

  test.each([
    ['short', 'short', 'Use at least 10 characters.'],
    ['long enough phrase', 'another phrase', /do not match/]
  ])('is not set up with %j and %j', async (first, again, words) => {
    connvault.vault.state = vaultState({ state: 'absent', custodian: null });
    await draw();
    (screen.getByTestId('connvault-passphrase') as HTMLInputElement).value = first;
    (screen.getByTestId('connvault-passphrase-again') as HTMLInputElement).value = again;
    await press('connvault-setup-submit');
    expect(screen.queryByText(words)).not.toBeNull();
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
    expect(screen.queryByTestId('connvault-passphrase')).not.toBeNull();
  });

  test('that must not store says why and offers no button', async () => {
    connvault.vault.state = vaultState({
      state: 'absent',
      custodian: null,
      storing_allowed: false,
      storing_detail: 'This server runs without authentication.'
    });
    await draw();
    expect(screen.queryByText('This server runs without authentication.')).not.toBeNull();
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

test('the form of a locked vault offers to unlock it first', async () => {
  connvault.vault.state = vaultState({ state: 'locked' });
  navigation.go({ name: 'create', providerId: 'postgresql' });
  await draw();
  await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
  expect(screen.queryByTestId('connvault-unlock')).not.toBeNull();
});
