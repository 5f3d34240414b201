import { act, fireEvent, screen, waitFor } from '@testing-library/react';
import { beforeEach, describe, expect, test, vi } from 'vitest';

import { connvault, draw, navigation, press } from '../support/drawnPanel';
import { slotList, slotView, vaultState } from '../support/records';

const input = (id: string): HTMLInputElement => screen.getByTestId(id) as HTMLInputElement;

function type(id: string, value: string): void {
  input(id).value = value;
  fireEvent.input(input(id));
}

async function open(): Promise<void> {
  await draw();
  await press('connvault-vault-open');
}

describe('what opens the vault', () => {
  test('is listed, one row each', async () => {
    await open();
    expect(navigation.screen.name).toBe('vault');
    expect(screen.getByTestId('connvault-slot-v1').textContent).toContain('passphrase');
    expect(screen.getByTestId('connvault-slot-s2').textContent).toContain('System keyring');
    expect(screen.queryByTestId('connvault-keys-changed')).toBeNull();
  });

  test('is fetched again when the vault changes', async () => {
    await open();
    connvault.vault.slots = async () => slotList({ slots: [slotView({ label: 'Only one' })] });
    await act(async () => connvault.vault.changed.emit());
    expect(screen.getByTestId('connvault-slot-v1').textContent).toContain('Only one');
    expect(screen.queryByTestId('connvault-slot-remove-v1')).toBeNull();
  });

  test('is not offered for a vault that does not exist', async () => {
    connvault.vault.state = vaultState({ state: 'absent', custodian: null });
    await draw();
    await press('connvault-setup-later');
    expect(screen.queryByTestId('connvault-vault-open')).toBeNull();
  });

  test('marks what was put there from outside', async () => {
    connvault.vault.slots = async () =>
      slotList({ slots: [slotView(), slotView({ id: 's2', label: 'Helpful', standing: 'foreign' })], changed_outside: true });
    await open();
    expect(screen.getByTestId('connvault-slot-s2').textContent).toContain('Not from connvault');
    expect(screen.getByTestId('connvault-slot-v1').textContent).not.toContain('Not from connvault');
    expect(screen.getByTestId('connvault-keys-changed').textContent).toContain('gets no new keys');
  });

  test('without a passphrase is changed on a terminal', async () => {
    connvault.vault.slots = async () => slotList({ slots: [slotView({ kind: 'os_keyring' })] });
    await open();
    expect(screen.getByTestId('connvault-keys-terminal').textContent).toContain('jupyter connvault slots add');
    expect(screen.queryByTestId('connvault-slot-add')).toBeNull();
    expect(screen.queryByTestId('connvault-rotate')).toBeNull();
  });
});

describe('a change of it', () => {
  beforeEach(open);

  test.each([
    ['connvault-rotate', ['rotate', 'canary known'], /Replaced/],
    ['connvault-slot-remove-s2', ['removeSlot', 's2', 'canary known'], /Removed/]
  ])('by %s needs a passphrase, which is then nowhere', async (button, call, words) => {
    await press(button);
    await press('connvault-key-change-submit');
    expect(screen.queryByText('Enter the passphrase.')).not.toBeNull();
    type('connvault-proof', 'canary known');
    const typed = input('connvault-proof');
    await press('connvault-key-change-submit');
    expect(connvault.calls).toContainEqual(call);
    expect(typed.value).toBe('');
    expect(document.documentElement.outerHTML).not.toContain('canary');
    expect(screen.getByTestId('connvault-keys-done').textContent).toMatch(words);
  });

  test.each([
    ['connvault-slot-add', ['addSlot', { kind: 'passphrase', label: null, passphrase: 'canary new one' }, 'canary known']],
    ['connvault-passphrase-change', ['changePassphrase', 'canary known', 'canary new one']]
  ])('by %s takes a new passphrase, typed twice', async (button, call) => {
    await press(button);
    type('connvault-proof', 'canary known');
    type('connvault-passphrase', 'canary new one');
    type('connvault-passphrase-again', 'canary new two');
    await press('connvault-key-change-submit');
    expect(screen.queryByText(/do not match/)).not.toBeNull();
    expect(connvault.calls.map(([name]) => name)).not.toContain(call[0]);
    type('connvault-passphrase-again', 'canary new one');
    const typed = ['connvault-proof', 'connvault-passphrase', 'connvault-passphrase-again'].map(input);
    await press('connvault-key-change-submit');
    expect(connvault.calls).toContainEqual(call);
    expect(typed.map(one => one.value)).toEqual(['', '', '']);
    expect(document.documentElement.outerHTML).not.toContain('canary');
  });

  test('may be another kind, if it is there', async () => {
    connvault.vault.state = vaultState({
      choices: [
        { kind: 'passphrase', label: 'Passphrase', available: true, detail: '' },
        { kind: 'os_keyring', label: 'Secret Service', available: true, detail: '' },
        { kind: 'key_file', label: 'Key file', available: false, detail: 'not set' }
      ]
    });
    await act(async () => connvault.vault.changed.emit());
    await press('connvault-slot-add');
    const kinds = input('connvault-slot-kind');
    expect([...kinds.querySelectorAll('option')].map(option => option.textContent)).toEqual(['Another passphrase', 'Secret Service']);
    fireEvent.change(kinds, { target: { value: 'os_keyring' } });
    expect(screen.queryByTestId('connvault-passphrase')).toBeNull();
    type('connvault-slot-label', ' this laptop ');
    type('connvault-proof', 'known');
    await press('connvault-key-change-submit');
    expect(connvault.calls).toContainEqual(['addSlot', { kind: 'os_keyring', label: 'this laptop', passphrase: null }, 'known']);
  });

  test('that is refused says why, and can be tried again', async () => {
    connvault.vault.rotate = vi.fn().mockRejectedValue(new Error('This passphrase does not open the vault.'));
    await press('connvault-rotate');
    type('connvault-proof', 'wrong');
    await press('connvault-key-change-submit');
    await waitFor(() => expect(screen.queryByText('This passphrase does not open the vault.')).not.toBeNull());
    expect((screen.getByTestId('connvault-key-change-submit') as HTMLButtonElement).disabled).toBe(false);
    expect(screen.queryByTestId('connvault-keys-done')).toBeNull();
  });

  test('can be given up', async () => {
    await press('connvault-rotate');
    await press('connvault-back');
    expect(screen.queryByTestId('connvault-slot-v1')).not.toBeNull();
    expect(connvault.calls.map(([name]) => name)).not.toContain('rotate');
  });
});
