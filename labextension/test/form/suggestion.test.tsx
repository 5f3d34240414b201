import { act, fireEvent, screen } from '@testing-library/react';
import { describe, expect, test } from 'vitest';

import { targetsOf } from '../../src/form/destination';
import { startingData } from '../../src/form/SchemaForm';
import { catalogue } from '../support/catalogue';
import { CANARY, draw, input, press, sent, type, typeSecret } from '../support/drawnForm';
import { connectionView, proposal, provider } from '../support/records';

describe('what code has suggested', () => {
  const marked = (): (string | null)[] =>
    screen.queryAllByTestId('connvault-suggested').map(mark => mark.closest('label')?.firstChild?.textContent ?? null);
  const suggestion = (): HTMLElement => screen.getByTestId('connvault-suggestion');

  test('is in the form, marked, with whose it is and where a secret would go', () => {
    draw({ proposal: proposal({}, { path: 'from/outside\u202e/report.ipynb' }) });
    expect([input('name').value, input('host').value, input('port').value]).toEqual(['sales', 'db.suggested', '5433']);
    expect(input('database').value).toBe('');
    expect(marked()).toEqual(['Name used in code', 'Host', 'Port']);
    expect(suggestion().textContent).toContain('the notebook from/outside[U+202E]/report.ipynb, not by you.');
    expect(suggestion().textContent).toContain('Your secret would be used to log in at db.suggested:5433');
  });

  test('takes no secret for its destination until a person has looked at it', async () => {
    draw({ proposal: proposal() });
    expect(input('password').disabled).toBe(true);
    expect(screen.getByTestId('connvault-form').textContent).toContain('Confirm the destination above first.');
    await press('connvault-confirm-destination');
    expect(input('password').disabled).toBe(false);
    expect(screen.queryByTestId('connvault-confirm-destination')).toBeNull();
    expect(marked()).toContain('Host');
  });

  test('asks nothing once the person has written the destination, and loses its mark', () => {
    draw({ proposal: proposal() });
    type('host', 'db.mine');
    expect(input('password').disabled).toBe(false);
    expect(screen.queryByTestId('connvault-confirm-destination')).toBeNull();
    expect(marked()).toEqual(['Name used in code', 'Port']);
    type('host', 'db.suggested');
    expect(input('password').disabled).toBe(true);
  });

  test('asks nothing where it says nothing of the destination', () => {
    draw({ proposal: proposal({ fields: { database: 'sales', port: 5433 } }) });
    type('host', 'db.mine');
    expect(input('password').disabled).toBe(false);
    expect(screen.queryByTestId('connvault-confirm-destination')).toBeNull();
  });

  test('asks for each place where a secret would go', () => {
    const fields = { auth: 'oauth2', base_url: 'https://api.test', token_url: 'https://tokens.evil.test/t' };
    draw({ provider: catalogue('http'), proposal: proposal({ provider_id: 'http', fields }) });
    expect(suggestion().textContent).toContain('https://api.test, https://tokens.evil.test/t');
    type('base_url', 'https://api.mine');
    expect(input('client_secret').disabled).toBe(true);
    type('token_url', 'https://tokens.mine/t');
    expect(input('client_secret').disabled).toBe(false);
  });

  test('is what the person has pasted from then on', async () => {
    draw({ proposal: proposal() });
    fireEvent.click(screen.getByText('Paste a URL or command instead'));
    await act(async () => {
      fireEvent.paste(screen.getByTestId('connvault-paste'), {
        clipboardData: { getData: () => `postgresql://me:${CANARY}@db.suggested:5433/sales` }
      });
    });
    expect(input('password').disabled).toBe(false);
  });

  test('is sent as it stands, with a secret only after the look', async () => {
    draw({ proposal: proposal() });
    type('database', 'sales');
    await press('connvault-save-test');
    expect(sent).toEqual([]);
    expect(screen.getByTestId('connvault-form').textContent).not.toContain('Enter the password.');
    await press('connvault-confirm-destination');
    typeSecret('password', CANARY);
    await press('connvault-save-test');
    expect(sent[0].draft.fields).toMatchObject({ host: 'db.suggested', port: 5433, database: 'sales' });
    expect(sent[0].draft.secrets).toEqual({ password: { value: CANARY } });
  });
});

describe('where a secret goes', () => {
  const line = (): string | undefined => screen.queryByTestId('connvault-goes-to')?.querySelector('b')?.textContent ?? undefined;

  test('stands above the buttons and follows what is typed', () => {
    draw();
    expect(line()).toBeUndefined();
    type('host', 'db.internal');
    expect(line()).toBe('db.internal:5432');
    type('port', '5433');
    expect(line()).toBe('db.internal:5433');
    type('host', 'db\u200b.internal');
    expect(line()).toBe('db[U+200B].internal:5433');
    type('host', '2001:db8::1');
    expect(line()).toBe('[2001:db8::1]:5433');
    expect(input('password').getAttribute('aria-describedby')).toContain(screen.getByTestId('connvault-goes-to').id);
  });

  test('is there for a connection that exists', () => {
    draw({ existing: connectionView() });
    expect(line()).toBe('db.internal:5432');
  });

  test('is whole', () => {
    draw();
    type('host', 'x'.repeat(5000));
    expect(line()).toBe(`${'x'.repeat(5000)}:5432`);
  });

  test.each([
    ['postgresql', { host: 'evil.test', user: 'app@db.internal:5432/sales (', database: 'x' }, ['evil.test:5432']],
    ['ssh', { host: 'evil.test', user: 'root@good.test' }, ['evil.test:22']],
    ['redis', { host: 'cache.internal' }, ['cache.internal:6379']],
    ['http', { base_url: 'https://api.test/v1', token_url: 'https://tokens.test' }, ['https://api.test/v1', 'https://tokens.test']],
    ['s3', { base_url: 'https://s3.test' }, ['https://s3.test']],
    ['secret', { description: 'https://not.a.place' }, []],
    ['postgresql', { port: 1 }, []],
    ['postgresql', { host: 'db1,db2:5433,::1,[::2]:1' }, ['db1:5432,db2:5433,[::1]:5432,[::2]:1']],
    ['postgresql', { host: 'db:1' }, ['db:1']],
    ['postgresql', { host: '/cloudsql/p:r:i,db' }, ['[/cloudsql/p:r:i]:5432,db:5432']],
    ['mysql', { host: '/run/mysqld/mysqld.sock' }, ['[/run/mysqld/mysqld.sock]:3306']]
  ])('of %s with %j is %j', (kind, fields, places) => {
    const made = catalogue(kind);
    expect(targetsOf(made, startingData(made, fields)).map(({ text }) => text)).toEqual(places);
  });

  test('of a kind without a pattern is each field by its name', () => {
    const made = provider({ destination: '' });
    expect(targetsOf(made, { host: 'h', port: 1, sslmode: 'require' })[0].text).toBe('Host: h, Port: 1, Encryption: require');
  });
});
