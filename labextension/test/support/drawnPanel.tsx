/**
 * The panel as the side bar draws it, with models that a test may change before. Each test begins with new ones.
 */
import { act, fireEvent, render, screen } from '@testing-library/react';
import { beforeEach } from 'vitest';

import type { Screen } from '../../src/models/navigation';
import { Navigation } from '../../src/models/navigation';
import { Panel } from '../../src/panel/Panel';
import { FakeConnvault, trans } from './records';

export let connvault: FakeConnvault;
export let navigation: Navigation;
/** Ids of the connections whose code was inserted. */
export let inserted: string[];
/** How often the waiting questions were asked for. */
export let answered: number;

beforeEach(() => {
  connvault = new FakeConnvault();
  navigation = new Navigation();
  inserted = [];
  answered = 0;
});

export async function draw(exposure = ''): Promise<void> {
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

export const press = (id: string): Promise<void> =>
  act(async () => {
    fireEvent.click(screen.getByTestId(id));
  });

export const go = (at: Screen): Promise<void> =>
  act(async () => {
    navigation.go(at);
  });
