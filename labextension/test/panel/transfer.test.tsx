import { act, fireEvent, screen, waitFor } from '@testing-library/react';
import { beforeEach, describe, expect, test, vi } from 'vitest';

import type { ImportEntry } from '../../src/contracts';
import { saveFile } from '../../src/ui/saveFile';
import { connvault, draw, navigation, press } from '../support/drawnPanel';
import { connectionView, slotList, slotView } from '../support/records';
import { exportedConnections, importEntry, importPreview } from '../support/transferRecords';

vi.mock('../../src/ui/saveFile', () => ({ saveFile: vi.fn() }));

const input = (id: string): HTMLInputElement => screen.getByTestId(id) as HTMLInputElement;

function type(id: string, value: string): void {
  input(id).value = value;
  fireEvent.input(input(id));
}

function typePassphrase(value: string): void {
  type('connvault-passphrase', value);
  type('connvault-passphrase-again', value);
}

beforeEach(() => vi.mocked(saveFile).mockClear());

describe('an export', () => {
  beforeEach(async () => {
    navigation.go({ name: 'export' });
    await draw();
  });

  test('is of all connections, without secrets, unless more is asked for', async () => {
    typePassphrase('canary of the file');
    await press('connvault-export-submit');
    expect(connvault.calls).toContainEqual(['export', { passphrase: 'canary of the file', ids: null }]);
    expect(saveFile).not.toHaveBeenCalled();
    await press('connvault-export-save');
    expect(vi.mocked(saveFile).mock.calls[0].slice(1)).toEqual([['connvault export 1\nmade-up'], 'text/plain']);
    expect(navigation.screen.name).toBe('vault');
    expect(document.documentElement.outerHTML).not.toContain('canary');
  });

  test('may leave some out, but not all', async () => {
    connvault.connections.items = [connectionView({ id: 'c1', name: 'one' }), connectionView({ id: 'c2', name: 'two' })];
    await act(async () => connvault.connections.changed.emit());
    await press('connvault-export-one');
    await press('connvault-export-two');
    expect((screen.getByTestId('connvault-export-submit') as HTMLButtonElement).disabled).toBe(true);
    await press('connvault-export-two');
    typePassphrase('canary of the file');
    await press('connvault-export-submit');
    expect(connvault.calls).toContainEqual(['export', { passphrase: 'canary of the file', ids: ['c2'] }]);
  });

  test('with secrets needs a passphrase of the vault', async () => {
    await press('connvault-export-secrets');
    typePassphrase('canary of the file');
    await press('connvault-export-submit');
    expect(screen.queryByText('Enter the passphrase.')).not.toBeNull();
    type('connvault-proof', 'canary known');
    await press('connvault-export-submit');
    expect(connvault.calls).toContainEqual([
      'export',
      {
        passphrase: 'canary of the file',
        ids: null,
        with_secrets: true,
        proof: { passphrase: 'canary known' },
        although_no_reveal: []
      }
    ]);
    expect(document.documentElement.outerHTML).not.toContain('canary');
  });

  test('with secrets that may not be revealed is asked for by name, with both passphrases again', async () => {
    connvault.connections.export = vi.fn().mockResolvedValue(
      exportedConnections({ connections: [{ id: 'c1', name: 'warehouse', secrets: [], without_secrets: 'no_reveal' }] })
    );
    await press('connvault-export-secrets');
    typePassphrase('long enough phrase');
    type('connvault-proof', 'known');
    await press('connvault-export-submit');
    expect(screen.getByTestId('connvault-export-withheld').textContent).toContain('warehouse');
    await press('connvault-export-include');
    expect(screen.getByTestId('connvault-export-although').textContent).toContain('warehouse');
    typePassphrase('long enough phrase');
    type('connvault-proof', 'known');
    await press('connvault-export-submit');
    expect(connvault.connections.export).toHaveBeenLastCalledWith(expect.objectContaining({ although_no_reveal: ['c1'] }));
  });

  test('with secrets is done on a terminal where the vault has no passphrase', async () => {
    connvault.vault.slots = async () => slotList({ slots: [slotView({ kind: 'os_keyring' })] });
    await act(async () => connvault.vault.changed.emit());
    await press('connvault-export-secrets');
    expect(screen.getByTestId('connvault-export-terminal').textContent).toContain('jupyter connvault export');
    expect((screen.getByTestId('connvault-export-submit') as HTMLButtonElement).disabled).toBe(true);
  });

  test('says what is not in it', async () => {
    connvault.connections.export = vi
      .fn()
      .mockResolvedValue(exportedConnections({ left_out: [{ id: 'c9', name: 'edited-one', reason: 'edited' }] }));
    typePassphrase('long enough phrase');
    await press('connvault-export-submit');
    expect(screen.getByTestId('connvault-export-left-out').textContent).toContain('edited-one');
  });

  test('that is refused says why', async () => {
    connvault.connections.export = vi.fn().mockRejectedValue(new Error('The vault is locked.'));
    typePassphrase('long enough phrase');
    await press('connvault-export-submit');
    await waitFor(() => expect(screen.queryByText('The vault is locked.')).not.toBeNull());
  });
});

describe('an import', () => {
  beforeEach(async () => {
    navigation.go({ name: 'import' });
    await draw();
  });

  const look = async (...entries: ImportEntry[]): Promise<void> => {
    connvault.connections.previewImport = vi.fn().mockResolvedValue(importPreview(...entries));
    const file = new File(['the text'], 'x.connvault');
    file.text = async () => 'the text';
    fireEvent.change(input('connvault-import-file'), { target: { files: [file] } });
    type('connvault-import-passphrase', 'canary of the file');
    await press('connvault-import-look');
    expect(connvault.connections.previewImport).toHaveBeenCalledWith('the text', 'canary of the file');
  };

  test('needs a file and its passphrase', async () => {
    await press('connvault-import-look');
    expect(screen.queryByText('Choose the file.')).not.toBeNull();
    fireEvent.change(input('connvault-import-file'), { target: { files: [new File(['x'], 'x')] } });
    await press('connvault-import-look');
    expect(screen.queryByText('Enter the passphrase.')).not.toBeNull();
  });

  test('shows what it would do, and adds what is new', async () => {
    await look(importEntry({ name: 'fresh' }));
    expect(connvault.calls.map(([name]) => name)).not.toContain('import');
    expect(document.documentElement.outerHTML).not.toContain('canary');
    await press('connvault-import-submit');
    expect(connvault.calls).toContainEqual(['import', 'the text', 'canary of the file', [{ name: 'fresh', action: 'add' }]]);
    expect(screen.queryByTestId('connvault-imported')).not.toBeNull();
  });

  const present = { id: 'c1', name: 'warehouse', revision: 4, provider_id: 'postgresql', destination: 'ada@db.elsewhere/sales' };

  test('touches nothing that is here unless that is wanted, and says where that leads', async () => {
    await look(importEntry({ would: 'other_destination', present }));
    expect((screen.getByTestId('connvault-import-submit') as HTMLButtonElement).disabled).toBe(true);
    expect(screen.getByTestId('connvault-import-warehouse-here').textContent).toContain('db.elsewhere');
    fireEvent.change(input('connvault-import-warehouse-action'), { target: { value: 'replace' } });
    await press('connvault-import-submit');
    expect(connvault.calls).toContainEqual([
      'import',
      'the text',
      'canary of the file',
      [{ name: 'warehouse', action: 'replace', revision: 4 }]
    ]);
  });

  test('says which new ones may be revealed, and of one that is replaced that stays as it is', async () => {
    const shown = (name: string): string => screen.getByTestId(`connvault-import-${name}`).textContent ?? '';
    await look(
      importEntry({ name: 'kept', reveal_allowed: false }),
      importEntry({ name: 'told', reveal_allowed: true }),
      importEntry({ would: 'name_taken', reveal_allowed: true, present })
    );
    expect([shown('kept'), shown('told')].map(text => text.includes('may be revealed'))).toEqual([false, true]);
    fireEvent.change(input('connvault-import-warehouse-action'), { target: { value: 'replace' } });
    expect(shown('warehouse')).not.toContain('may be revealed');
  });

  test('adds under another name', async () => {
    await look(importEntry({ would: 'same', present }));
    fireEvent.change(input('connvault-import-warehouse-action'), { target: { value: 'add' } });
    expect(input('connvault-import-warehouse-name').value).toBe('warehouse-2');
    fireEvent.change(input('connvault-import-warehouse-name'), { target: { value: 'other' } });
    await press('connvault-import-submit');
    expect(connvault.calls).toContainEqual([
      'import',
      'the text',
      'canary of the file',
      [{ name: 'warehouse', action: 'add', as_name: 'other' }]
    ]);
  });

  test.each(['unknown_kind', 'invalid'] as const)('of what is %s offers nothing', async would => {
    await look(importEntry({ would }));
    expect(screen.queryByTestId('connvault-import-warehouse-action')).toBeNull();
    expect((screen.getByTestId('connvault-import-submit') as HTMLButtonElement).disabled).toBe(true);
  });

  test('that is refused changes nothing here, and can be tried again', async () => {
    await look(importEntry({ name: 'fresh' }));
    connvault.connections.import = vi.fn().mockRejectedValue(new Error('This name is taken.'));
    await press('connvault-import-submit');
    await waitFor(() => expect(screen.queryByText('This name is taken.')).not.toBeNull());
    expect((screen.getByTestId('connvault-import-submit') as HTMLButtonElement).disabled).toBe(false);
  });
});
