import { screen } from '@testing-library/react';
import { describe, expect, test } from 'vitest';

import { connvault, draw, go, navigation, press } from '../support/drawnPanel';
import { PROPOSAL_ID, proposal } from '../support/records';

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
