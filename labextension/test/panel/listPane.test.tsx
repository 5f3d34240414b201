import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import { describe, expect, test } from 'vitest';

import { Panel } from '../../src/panel/Panel';
import { answered, connvault, draw, navigation, press } from '../support/drawnPanel';
import { connectionView, FAILED_TEST, openQuestion, provider, trans, vaultState } from '../support/records';

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
    expect(said.textContent).toContain('less protected');
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
    expect(screen.queryByText('No connection is called “nothing”.')).not.toBeNull();
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
    expect(screen.queryByText('2 entries could not be read and are not shown.')).not.toBeNull();
  });

  test('draws a thousand rows, the first ones first', async () => {
    connvault.connections.items = Array.from({ length: 1000 }, (_, at) =>
      connectionView({ id: `c${at}`, name: `name${String(at).padStart(4, '0')}` })
    );
    render(
      <Panel connvault={connvault} navigation={navigation} trans={trans} onInsertCode={() => undefined} onAnswer={() => undefined} />
    );
    expect(document.querySelectorAll('.jp-connvault-row').length).toBeLessThan(100);
    await waitFor(() => expect(document.querySelectorAll('.jp-connvault-row')).toHaveLength(1000));
  });
});

test('a failed test shows in the list and beside the name', async () => {
  connvault.connections.items = [connectionView({}, { last_test: FAILED_TEST })];
  await draw();
  expect(screen.getByTestId('connvault-row-warehouse').textContent).toContain('Test failed');
  fireEvent.click(screen.getByTestId('connvault-row-warehouse'));
  expect(screen.getByTestId('connvault-detail').textContent).toMatch(/^warehouse.*Test failed/);
});
