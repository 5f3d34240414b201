import { act, fireEvent, screen } from '@testing-library/react';
import { describe, expect, test } from 'vitest';

import { draw, navigation, press } from '../support/drawnPanel';
import { proposal } from '../support/records';

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
    expect(screen.queryByText('connection("wharehouse")')).not.toBeNull();
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
