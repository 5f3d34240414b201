import { fireEvent, render, screen } from '@testing-library/react';
import { describe, expect, test } from 'vitest';

import { FixItCard, HandleCard } from '../src/fixit/cards';
import { readFixIt, readHandle } from '../src/fixit/payload';
import { provider, trans } from './support/records';

const CARD = {
  code: 'connection_not_found',
  title: 'No such connection.',
  message: 'No connection has this name.',
  action: { label: 'Create it', command: 'connvault:open', args: { new: true, name: 'wharehouse' } }
};

const HANDLE = {
  name: 'warehouse',
  kind: 'PostgreSQL',
  destination: 'app@db.internal:5432/sales',
  mode: 'in_clear',
  expires_at: null,
  decision: 'once',
  openers: ['engine', 'connect']
};

describe('a fix-it', () => {
  test('is read with its action', () => {
    expect(readFixIt(CARD)).toEqual({
      code: CARD.code,
      title: CARD.title,
      message: CARD.message,
      action: { label: 'Create it', args: { new: true, name: 'wharehouse' } }
    });
  });

  test.each([
    ['another command', { ...CARD.action, command: 'notebook:run-all-cells' }],
    ['no command', { label: 'x', args: {} }],
    ['no label', { ...CARD.action, label: '' }],
    ['text', 'connvault:open'],
    ['nothing', null]
  ])('with %s as its action has no button', (_, action) => {
    expect(readFixIt({ ...CARD, action })?.action).toBeNull();
  });

  test.each([
    [{ prefill: { host: 'evil' }, new: 'postgresql' }, { new: 'postgresql' }],
    [{ name: { toString: 'x' }, screen: 'unlock', deep: [] }, { screen: 'unlock' }],
    [{ name: 'a\u202eb' }, { name: 'ab' }],
    ['text', {}],
    [null, {}]
  ])('passes of %j only %j on', (args, kept) => {
    expect(readFixIt({ ...CARD, action: { ...CARD.action, args } })?.action?.args).toEqual(kept);
  });

  test.each([null, 'text', 7, [], {}, { title: 7 }, { title: '' }])('%j is none', data => {
    expect(readFixIt(data)).toBeNull();
  });

  test('shows what happened, what to do and the button', () => {
    let acted = 0;
    render(<FixItCard fixIt={readFixIt(CARD)!} trans={trans} onAct={() => acted++} />);
    expect(screen.getByTestId('connvault-fixit').textContent).toBe('No such connection.No connection has this name.Create it');
    fireEvent.click(screen.getByTestId('connvault-fixit-action'));
    expect(acted).toBe(1);
  });

  test('shows markup as text', () => {
    render(<FixItCard fixIt={readFixIt({ ...CARD, message: '<img src=x>' })!} trans={trans} onAct={() => undefined} />);
    expect(screen.getByTestId('connvault-fixit').querySelector('img')).toBeNull();
  });
});

describe('a handle', () => {
  test('shows name, kind, destination, how and for how long', () => {
    render(<HandleCard handle={readHandle(HANDLE)!} provider={provider()} trans={trans} />);
    const text = screen.getByTestId('connvault-handle').textContent;
    expect(text).toBe('warehouse PostgreSQL · app@db.internal:5432/sales.engine().connect()in the clearthis time');
  });

  test.each([null, 'text', {}, { ...HANDLE, name: '' }, { ...HANDLE, mode: 'odd' }])('%j is none', data => {
    expect(readHandle(data)).toBeNull();
  });

  test('leaves out openers that are no names, and a time that is none', () => {
    const read = readHandle({ ...HANDLE, openers: ['engine', '<b>', 7, 'a b'], expires_at: 'soon' });
    expect(read?.openers).toEqual(['engine']);
    expect(read?.expiresAt).toBeNull();
  });
});
