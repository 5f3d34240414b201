import { screen, within } from '@testing-library/react';
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
      const differing = [...entry().querySelectorAll('[data-differs]')].map(row => row.textContent);
      expect(differing).toEqual(['hostdb.internalevil.example.org']);
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
    expect(entry().querySelector('table')).toBeNull();
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
    expect(row.textContent).toContain('Changed in the project');
  });
});
