import { fireEvent, screen, within } from '@testing-library/react';
import { beforeEach, describe, expect, test } from 'vitest';

import { connvault, draw, go, navigation, press } from '../support/drawnPanel';
import { connectionView } from '../support/records';
import { workspace } from '../support/workspaceRecords';

const accepted = { name: 'warehouse', display_name: '', provider_id: 'postgresql', fields: { host: 'db.internal', port: 5432 } };

const entry = (id = 'b0'): HTMLElement => screen.getByTestId(`connvault-entry-${id}`);

describe('the connections of projects', () => {
  test('are announced above the list, and the banner leads to them', async () => {
    connvault.workspaces.waiting = 3;
    await draw();
    expect(screen.getByTestId('connvault-workspaces-banner').textContent).toContain('3 connections of projects need you');
    await press('connvault-workspaces-open');
    expect(navigation.screen).toEqual({ name: 'workspaces' });
  });

  test('are not announced where nobody is needed', async () => {
    await draw();
    expect(screen.queryByTestId('connvault-workspaces-banner')).toBeNull();
  });

  test('that are new show their destination, and accepting leads to the secret', async () => {
    connvault.workspaces.items = [workspace({}, {})];
    await draw();
    await go({ name: 'workspaces' });
    expect(within(entry()).getByTestId('connvault-entry-destination').textContent).toBe('db.internal:5432');
    expect(entry().textContent).toContain('Needs your own secret');
    await press('connvault-entry-accept');
    expect(connvault.calls).toContainEqual(['accept', '/home/ada/shop', connvault.workspaces.items[0].entries[0]]);
    expect(navigation.screen).toEqual({ name: 'detail', connectionId: 'c1', tab: 'details', asks: 'secret' });
  });

  describe('that have changed', () => {
    beforeEach(async () => {
      const moved = { ...accepted, fields: { host: 'evil.example.org', port: 5432 } };
      connvault.workspaces.items = [
        workspace(
          {},
          {
            state: 'changed',
            block: moved,
            accepted,
            connection_id: 'c1',
            destination: 'evil.example.org:5432',
            accepted_destination: 'db.internal:5432',
            destination_changed: true
          }
        )
      ];
      await draw();
      await go({ name: 'workspaces' });
    });

    test('are shown beside what was accepted, the other destination loudly', () => {
      const differing = screen.getByTestId('connvault-entry-differences');
      expect([...differing.querySelectorAll('dt, del, ins')].map(part => [part.tagName, part.textContent])).toEqual([
        ['DT', 'Host'],
        ['DEL', 'db.internal'],
        ['INS', 'evil.example.org']
      ]);
      expect(entry().querySelector('details')?.textContent).toContain('Port5432');
      expect(screen.getByTestId('connvault-entry-moved').textContent).toContain('your secret is removed');
      expect(screen.getByTestId('connvault-entry-accept').textContent).toBe('Accept the change');
    });

    test('can be forgotten, in the revision that was shown', async () => {
      await press('connvault-entry-forget');
      expect(connvault.calls).toContainEqual(['forget', 'c1', 3]);
    });
  });

  test('that were accepted need nothing', async () => {
    connvault.workspaces.items = [workspace({}, { state: 'accepted', accepted, connection_id: 'c1' })];
    await draw();
    await go({ name: 'workspaces' });
    expect(screen.queryByTestId('connvault-entry-accept')).toBeNull();
    expect(entry().querySelector('dl')).toBeNull();
  });

  test.each(['gone', 'name_taken', 'unknown_kind'] as const)('in the state %s cannot be accepted', async state => {
    connvault.workspaces.items = [workspace({}, { state })];
    await draw();
    await go({ name: 'workspaces' });
    expect(entry().dataset.state).toBe(state);
    expect(screen.queryByTestId('connvault-entry-accept')).toBeNull();
  });

  test('of a file that cannot be read say why', async () => {
    connvault.workspaces.items = [workspace({ problem: 'shop/x has the markers of a merge conflict (line 4).' })];
    await draw();
    await go({ name: 'workspaces' });
    expect(screen.getByTestId('connvault-workspace-problem').textContent).toContain('(line 4)');
  });

  test('that refuse say so, and stay', async () => {
    connvault.workspaces.items = [workspace({}, {})];
    connvault.workspaces.accept = () => Promise.reject(new Error('It was changed.'));
    await draw();
    await go({ name: 'workspaces' });
    await press('connvault-entry-accept');
    expect(within(entry()).queryByRole('alert')).not.toBeNull();
    expect(navigation.screen).toEqual({ name: 'workspaces' });
  });

  test('are marked in the list', async () => {
    connvault.connections.items = [
      connectionView({ scope: 'workspace', workspace: { root: '/home/ada/shop', id: 'b0' }, status: 'draft', status_reason: 'workspace_changed' })
    ];
    await draw();
    const row = screen.getByTestId('connvault-row-warehouse');
    expect(row.textContent).toContain('project');
    expect(row.textContent).toContain('Changed');
  });

  describe('are made in the form', () => {
    const fill = (name: string): void => {
      fireEvent.change(screen.getByTestId('connvault-field-name'), { target: { value: name } });
      fireEvent.change(screen.getByTestId('connvault-field-host'), { target: { value: 'db.internal' } });
      fireEvent.change(screen.getByTestId('connvault-field-database'), { target: { value: 'sales' } });
    };
    const choose = (folder: string): void =>
      void fireEvent.change(screen.getByTestId('connvault-field-project'), { target: { value: folder } });

    beforeEach(async () => {
      connvault.workspaces.folders = [
        { path: 'shop', root: '/home/ada/shop' },
        { path: 'lab', root: null }
      ];
      connvault.connections.items = [
        connectionView({ id: 'c2', name: 'mine' }),
        connectionView({ id: 'c3', name: 'theirs', scope: 'workspace', workspace: { root: '/home/ada/other', id: 'b0' } }),
        connectionView({ id: 'c4', name: 'ours', scope: 'workspace', workspace: { root: '/home/ada/shop', id: 'b0' } })
      ];
      await draw();
      await go({ name: 'create', providerId: 'postgresql' });
      await screen.findByTestId('connvault-form');
    });

    test('which says what is written where, and that the secret is not', async () => {
      choose('shop');
      const form = screen.getByTestId('connvault-form');
      expect(form.textContent).toContain('written into shop/.connvault/connections.json, without the secret');
      fill('warehouse');
      await press('connvault-save');
      expect(connvault.calls.find(([what]) => what === 'create')?.[1]).toMatchObject({ scope: 'workspace', workspace: 'shop' });
    });

    test("and are one's own unless a project is chosen", async () => {
      fill('warehouse');
      await press('connvault-save');
      const sent = connvault.calls.find(([what]) => what === 'create')?.[1] as object;
      expect(sent).toMatchObject({ name: 'warehouse' });
      expect(sent).not.toHaveProperty('scope');
    });

    test.each([
      ['shop', 'ours', false],
      ['shop', 'mine', false],
      ['shop', 'theirs', true],
      ['lab', 'ours', true],
      ['//', 'theirs', false]
    ])('with a name that no notebook sees twice (in %s, %s)', async (folder, name, isFree) => {
      choose(folder);
      fill(name);
      await press('connvault-save');
      expect(connvault.calls.some(([what]) => what === 'create')).toBe(isFree);
    });
  });

  test('that changed lead from themselves to the review, and take no secret before it', async () => {
    connvault.workspaces.items = [workspace({}, {})];
    connvault.connections.items = [
      connectionView({ scope: 'workspace', workspace: { root: '/home/ada/shop', id: 'b0' }, status: 'draft', status_reason: 'workspace_changed' })
    ];
    await draw();
    await go({ name: 'detail', connectionId: 'c1', tab: 'details' });
    expect(screen.getByTestId('connvault-project').textContent).toContain('shop/.connvault/connections.json');
    expect(screen.queryByTestId('connvault-replace-password')).toBeNull();
    await press('connvault-review');
    expect(navigation.screen).toEqual({ name: 'workspaces' });
  });

  test('say in the form that the file is changed, too', async () => {
    connvault.workspaces.items = [workspace({}, {})];
    connvault.connections.items = [connectionView({ scope: 'workspace', workspace: { root: '/home/ada/shop', id: 'b0' } })];
    await draw();
    await go({ name: 'edit', connectionId: 'c1' });
    const said = await screen.findByTestId('connvault-form-project');
    expect(said.textContent).toContain('shop/.connvault/connections.json');
    expect(screen.queryByTestId('connvault-field-project')).toBeNull();
  });
});
