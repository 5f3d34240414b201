/**
 * The form as a screen draws it, and what it sends. Each test begins with nothing sent.
 */
import { act, fireEvent, render, screen } from '@testing-library/react';
import { beforeEach } from 'vitest';

import type { ConnectionDraft, ConnectionFormProps } from '../../src/form/ConnectionForm';
import { ConnectionForm } from '../../src/form/ConnectionForm';
import { provider, trans } from './records';

export const CANARY = 'hunter2-canary';

export let sent: { draft: ConnectionDraft; andTest: boolean }[];
let refuse: Error | null;

beforeEach(() => {
  sent = [];
  refuse = null;
});

/** Saving fails with it from now on. */
export function refuseWith(error: Error): void {
  refuse = error;
}

export function draw(change: Partial<ConnectionFormProps> = {}): void {
  render(
    <ConnectionForm
      provider={provider()}
      revealAllowed={true}
      takenNames={() => ['taken']}
      trans={trans}
      onSave={async (draft, andTest) => {
        sent.push({ draft: structuredClone(draft), andTest });
        if (refuse) {
          throw refuse;
        }
      }}
      onCancel={() => undefined}
      {...change}
    />
  );
}

export const input = (name: string): HTMLInputElement => screen.getByTestId(`connvault-field-${name}`);
export const type = (name: string, value: string): void => void fireEvent.change(input(name), { target: { value } });
export const typeSecret = (name: string, value: string): void => {
  input(name).value = value;
  fireEvent.input(input(name));
};
export const press = (id: string): Promise<void> =>
  act(async () => {
    fireEvent.click(screen.getByTestId(id));
  });

export function fill(): void {
  type('name', 'warehouse');
  type('host', 'db.internal');
  type('database', 'sales');
  typeSecret('password', CANARY);
}
