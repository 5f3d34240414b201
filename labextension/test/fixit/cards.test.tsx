import { fireEvent, render, screen } from '@testing-library/react';
import { readFileSync } from 'node:fs';
import { cwd } from 'node:process';
import { describe, expect, test } from 'vitest';

import { FixItCard, HandleCard } from '../../src/fixit/cards';
import { readFixIt, readHandle } from '../../src/fixit/payload';
import { provider, trans } from '../support/records';

const CARD = {
  code: 'connection_not_found',
  error: 'ConnectionNotFound',
  title: 'No connection is called “wharehouse”.',
  message: 'Did you mean “warehouse”?',
  actions: [
    { label: 'Show it', command: 'connvault:open', args: { name: 'warehouse' } },
    { label: 'Create it', command: 'connvault:open', args: { new: true, name: 'wharehouse' } }
  ],
  instead: true
};

const ACTION = CARD.actions[0];

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
  test('is read with its actions', () => {
    expect(readFixIt(CARD)).toEqual({
      ...CARD,
      actions: [
        { label: 'Show it', args: { name: 'warehouse' } },
        { label: 'Create it', args: { new: true, name: 'wharehouse' } }
      ]
    });
  });

  test.each([
    ['another command', { ...ACTION, command: 'notebook:run-all-cells' }],
    ['no command', { label: 'x', args: {} }],
    ['no label', { ...ACTION, label: '' }],
    ['text', 'connvault:open'],
    ['nothing', null]
  ])('with %s as its action has no button', (_, action) => {
    expect(readFixIt({ ...CARD, actions: [action] })?.actions).toEqual([]);
  });

  test.each([undefined, null, 'text', { 0: ACTION }])('with %j as its actions has no button', actions => {
    expect(readFixIt({ ...CARD, actions })?.actions).toEqual([]);
  });

  test('has no more than two buttons, and takes a line away only when it says so', () => {
    const read = readFixIt({ ...CARD, actions: Array(5).fill(ACTION), instead: 'yes' });
    expect(read?.actions.length).toBe(2);
    expect(read?.instead).toBe(false);
  });

  test.each([
    [{ prefill: { host: 'evil' }, new: 'postgresql' }, { new: 'postgresql' }],
    [{ proposal: 'proposal-x', fields: { host: 'evil' }, host: 'evil' }, { proposal: 'proposal-x' }],
    [{ name: { toString: 'x' }, screen: 'unlock', deep: [] }, { screen: 'unlock' }],
    [{ name: 'a', tab: 'grants' }, { name: 'a', tab: 'grants' }],
    [{ name: 'a\u202eb' }, { name: 'ab' }],
    ['text', {}],
    [null, {}]
  ])('passes of %j only %j on', (args, kept) => {
    expect(readFixIt({ ...CARD, actions: [{ ...ACTION, args }] })?.actions[0].args).toEqual(kept);
  });

  test.each([null, 'text', 7, [], {}, { title: 7 }, { title: '' }])('%j is none', data => {
    expect(readFixIt(data)).toBeNull();
  });

  test('shows what happened, what to do and the buttons', () => {
    const acted: unknown[] = [];
    render(<FixItCard fixIt={readFixIt(CARD)!} trans={trans} onAct={action => acted.push(action.args)} />);
    expect(screen.getByTestId('connvault-fixit').textContent).toBe(
      'No connection is called “wharehouse”.Did you mean “warehouse”? ConnectionNotFoundShow itCreate it'
    );
    fireEvent.click(screen.getByTestId('connvault-fixit-other'));
    fireEvent.click(screen.getByTestId('connvault-fixit-action'));
    expect(acted).toEqual([{ new: true, name: 'wharehouse' }, { name: 'warehouse' }]);
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

  test.each([
    ['brokered', 'hand_over', 'brokered, hand-over'],
    ['brokered', 'relay', 'brokered, relay'],
    ['brokered', undefined, 'brokered'],
    ['brokered', 'tunnel', 'brokered'],
    ['brokered', 'login', 'brokered'],
    ['in_clear', 'login', 'in the clear'],
    ['in_clear', 'relay', 'in the clear'],
    ['reveal', 'reveal', 'plain text']
  ])('that is %s by %s says %s', (mode, delivery, words) => {
    render(<HandleCard handle={readHandle({ ...HANDLE, mode, delivery })!} provider={provider()} trans={trans} />);
    expect(document.querySelector('.jp-connvault-pill')?.textContent).toBe(words);
  });

  test('shows with brackets what is called, and without what is read', () => {
    const families = readFileSync(`${cwd()}/../connvault_jupyter/kernel/families.py`, 'utf8');
    const found = [...families.matchAll(/(@property\n)? {4}(?:async )?def ([a-z]\w*)\(self/g)];
    const openers = [...new Set(found.map(([, , name]) => name))];
    const read = new Set(found.filter(([, property]) => property).map(([, , name]) => name));
    expect([openers.includes('engine'), read.has('url')]).toEqual([true, true]);
    render(<HandleCard handle={readHandle({ ...HANDLE, openers })!} provider={provider()} trans={trans} />);
    const shown = [...screen.getByTestId('connvault-handle').querySelectorAll('code')].map(code => code.textContent);
    expect(shown).toEqual(openers.map(name => (read.has(name) ? `.${name}` : `.${name}()`)));
  });

  test('that has ended says that and nothing of how or for how long', () => {
    render(<HandleCard handle={readHandle({ ...HANDLE, ended: true })!} provider={provider()} trans={trans} />);
    const pills = [...document.querySelectorAll('.jp-connvault-pill')];
    expect(pills.map(pill => [pill.textContent, pill.classList.contains('jp-mod-mute')])).toEqual([['ended', true]]);
  });

  test.each([undefined, false, null, 'yes', 1])('has not ended where it says %j', ended => {
    expect(readHandle({ ...HANDLE, ended })?.ended).toBe(false);
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
