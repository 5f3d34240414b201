import { act, fireEvent, screen, waitFor } from '@testing-library/react';
import { describe, expect, test, vi } from 'vitest';

import { ProblemError } from '../../src/errors';
import { formSchema, isDeclared, propertiesOf, secretFields } from '../../src/form/schema';
import * as schemaForm from '../../src/form/SchemaForm';
import { SecretInputs } from '../../src/form/secretInputs';
import { catalogue, KINDS } from '../support/catalogue';
import { CANARY, draw, fill, input, press, refuseWith, sent, type, typeSecret } from '../support/drawnForm';
import { connectionView, proposal, provider } from '../support/records';

describe('a new connection', () => {
  test('starts with the defaults of the schema, in its order', () => {
    draw();
    expect(input('port').value).toBe('5432');
    const names = [...document.querySelectorAll('input, select')].map(item => item.getAttribute('name'));
    expect(names).toEqual(['connection-name', 'host', 'port', 'database', 'password', 'sslmode', null]);
    expect(input('reveal_allowed').checked).toBe(false);
  });

  test('ties each label to its input', () => {
    draw();
    for (const label of ['Name used in code', 'Host', 'Port', 'Database', 'Password', 'Encryption']) {
      expect(screen.queryByLabelText(label)).not.toBeNull();
    }
  });

  test('shows the name as code will use it', () => {
    draw();
    type('name', 'sales');
    expect(document.querySelector('code')?.textContent).toBe('connection("sales")');
  });

  test('is sent with its secret apart from its fields', async () => {
    draw();
    fill();
    await press('connvault-save-test');
    expect(sent).toEqual([
      {
        draft: {
          name: 'warehouse',
          fields: { host: 'db.internal', port: 5432, database: 'sales', sslmode: 'require' },
          secrets: { password: { value: CANARY } },
          reveal_allowed: false
        },
        andTest: true
      }
    ]);
  });

  test('can let notebook code ask for the plain text, and says what that allows', async () => {
    draw();
    fill();
    fireEvent.click(screen.getByLabelText('Let notebook code ask for the plain text'));
    await press('connvault-save');
    expect(sent[0].draft.reveal_allowed).toBe(true);
    expect(document.getElementById(input('reveal_allowed').getAttribute('aria-describedby')!)?.textContent).toBe(
      'You are asked each time. If you allow it, the code has the secret itself and can print, copy or send it.'
    );
  });

  test.each([
    ['brokered', false],
    ['in_clear', true]
  ] as const)('of a kind that is %s starts with plain text at %s', (mode, expected) => {
    draw({ provider: provider({ deliveries: provider().deliveries.map(item => ({ ...item, mode })) }) });
    expect(input('reveal_allowed').checked).toBe(expected);
  });

  test.each([true, false])('that exists keeps what it has: %s', allowed => {
    draw({ existing: connectionView({ reveal_allowed: allowed }) });
    expect(input('reveal_allowed').checked).toBe(allowed);
  });

  test('that gives nothing but plain text does not ask whether it may', async () => {
    draw({ provider: catalogue('secret') });
    expect(screen.queryByTestId('connvault-field-reveal_allowed')).toBeNull();
    type('name', 'key');
    typeSecret('value', CANARY);
    await press('connvault-save');
    expect(sent[0].draft).not.toHaveProperty('reveal_allowed');
  });

  test('has empty secret inputs right after sending', async () => {
    draw();
    fill();
    await press('connvault-save');
    expect(input('password').value).toBe('');
    expect(document.documentElement.innerHTML).not.toContain(CANARY);
  });

  test('can be saved as a draft without its secret, but not tested', async () => {
    draw();
    type('name', 'warehouse');
    type('host', 'db.internal');
    type('database', 'sales');
    await press('connvault-save-test');
    expect(sent).toEqual([]);
    expect(screen.queryByText('Enter the password.')).not.toBeNull();
    await press('connvault-save');
    expect(sent[0].draft.secrets).toEqual({});
  });

  test('asks for a conditional secret when its condition holds', async () => {
    draw();
    const select = screen.getByTestId('connvault-field-sslmode') as HTMLSelectElement;
    fireEvent.change(select, { target: { value: '1' } });
    typeSecret('key', CANARY);
    fill();
    await press('connvault-save');
    expect(sent[0].draft).toMatchObject({ fields: { sslmode: 'verify-full' }, secrets: { key: { value: CANARY } } });
  });
});

describe('the kinds that come with the package', () => {
  test.each([
    ['postgresql', {}, ['password']],
    ['http', {}, ['token']],
    ['http', { base_url: 'http://localhost', allow_http: true }, ['token']],
    ['http', { auth: 'basic' }, ['password']],
    ['http', { auth: 'basic', allow_http: true }, ['password']],
    ['http', { auth: 'none' }, []],
    ['secret', {}, ['value']]
  ])('of %s with %j draws the inputs of its secrets: %j', (kind, fields, secrets) => {
    const made = catalogue(kind);
    draw({ provider: made, proposal: proposal({ fields }) });
    const drawn = secretFields(made).filter(field => screen.queryByTestId(`connvault-field-${field}`));
    expect(drawn).toEqual(secrets);
  });

  test('show the other secret when another login is chosen', () => {
    draw({ provider: catalogue('http') });
    const login = input('auth') as unknown as HTMLSelectElement;
    const basic = [...login.options].find(option => option.text.includes('Basic'));
    fireEvent.change(login, { target: { value: basic?.value } });
    expect(screen.queryByTestId('connvault-field-token')).toBeNull();
    expect(input('password')).toBeTruthy();
    expect(input('username')).toBeTruthy();
  });

  test.each(KINDS)('of %s draw declared fields only, whatever is chosen', kind => {
    draw({ provider: catalogue(kind) });
    const declared = Object.entries(propertiesOf(catalogue(kind).fields)).filter(([, field]) => isDeclared(field));
    const check = (): void => {
      const form = screen.getByTestId('connvault-form');
      expect(form.textContent).not.toMatch(/Unsupported field schema|undefined/);
      const names = [...form.querySelectorAll('.jp-connvault-schemaForm label')].map(label => label.getAttribute('for') ?? '');
      for (const id of names.filter(Boolean)) {
        expect(declared.map(([name]) => name)).toContain(id.slice(id.indexOf('_') + 1));
        expect(document.getElementById(id)?.getAttribute('name')).toBeTruthy();
      }
    };
    check();
    for (const box of [false, true]) {
      for (const switched of box ? document.querySelectorAll('.jp-connvault-schemaForm input[type=checkbox]') : []) {
        fireEvent.click(switched);
        check();
      }
      for (const name of [...document.querySelectorAll('.jp-connvault-schemaForm select')].map(item => item.getAttribute('name')!)) {
        const select = (): HTMLSelectElement => input(name) as unknown as HTMLSelectElement;
        for (const { value } of [...select().options]) {
          fireEvent.change(select(), { target: { value } });
          check();
        }
      }
    }
  });

  test('ask for the token endpoint before the client that logs in there', () => {
    draw({ provider: catalogue('http'), proposal: proposal({ fields: { auth: 'oauth2' } }) });
    const names = [...document.querySelectorAll('.jp-connvault-schemaForm [name]')].map(item => item.getAttribute('name'));
    expect(names).toEqual([
      'base_url', 'allow_http', 'auth', 'token_url', 'client_id', 'client_secret', 'scope', 'audience', 'client_auth', 'ca_certificate'
    ]);
    expect(formSchema(catalogue('http')).destination).toContain('token_url');
  });
});

describe('problems', () => {
  test.each([
    ['name', '', 'Enter the name that code will use.'],
    ['name', '1st', /Start with a letter/],
    ['name', 'wareh\u043euse', /Start with a letter/],
    ['name', 'taken', /Another connection has this name/],
    ['host', '', 'Enter the host to connect to.'],
    ['host', 'two words', 'Enter one host name.'],
    ['port', '', 'Enter the port.'],
    ['port', '70000', 'Enter a number from 1 to 65535.'],
    ['port', 'abc', 'Enter a number.'],
    ['database', '', 'Enter the database.']
  ])('of %s with %j are told beside it', async (field, value, words) => {
    draw();
    fill();
    type(field, value);
    await press('connvault-save');
    expect(sent).toEqual([]);
    expect(input(field).getAttribute('aria-invalid')).toBe('true');
    const described = input(field).getAttribute('aria-describedby')?.split(' ') ?? [];
    const texts = described.map(id => document.getElementById(id)?.textContent ?? '').join(' ');
    expect(texts).toMatch(words);
  });

  test('go when the field is put right, and no others come', async () => {
    draw();
    await press('connvault-save');
    type('host', 'db');
    expect(input('host').getAttribute('aria-invalid')).toBeNull();
    expect(screen.queryByText('Enter the database.')).not.toBeNull();
  });

  test('that the server finds stand at their fields', async () => {
    refuseWith(new ProblemError('invalid_fields', 'See each field.', 422, 'InvalidFields', [
      { path: 'fields.host', message: 'is not known' },
      { path: 'secrets.password', message: 'is too long' },
      { path: 'name', message: 'is taken' }
    ]));
    draw();
    fill();
    await press('connvault-save');
    await waitFor(() => expect(screen.getByText('Is not known.')).toBeTruthy());
    expect(screen.queryByText('Is too long.')).not.toBeNull();
    expect(screen.queryByText('Is taken.')).not.toBeNull();
  });

  test('of the whole stand above the fields, and the secret has to be typed once more', async () => {
    refuseWith(new ProblemError('vault_locked', 'The vault is locked.', 423));
    draw();
    fill();
    await press('connvault-save');
    await waitFor(() => expect(screen.getByRole('alert').textContent).toContain('The vault is locked.'));
    expect(screen.queryByText('Enter it again, then save.')).not.toBeNull();
    expect(input('password').value).toBe('');
  });
});

describe('a secret', () => {
  test('is never in what the form library holds or tells', async () => {
    const seen: unknown[] = [];
    const original = schemaForm.SchemaForm;
    const spy = vi.spyOn(schemaForm, 'SchemaForm').mockImplementation(props => {
      seen.push(props.data, props.problems);
      return original(props);
    });
    draw();
    fill();
    fireEvent.change(input('password'), { target: { value: CANARY } });
    fireEvent.blur(input('password'));
    type('host', 'db.other');
    await press('connvault-save');
    expect(seen.length).toBeGreaterThan(4);
    expect(JSON.stringify(seen)).not.toContain(CANARY);
    spy.mockRestore();
  });

  test('is in no attribute of the page while it is typed', () => {
    draw();
    fill();
    type('host', 'db.other');
    expect(document.documentElement.outerHTML).not.toContain(CANARY);
  });

  test('that was pasted before the form was drawn waits for its input', () => {
    const inputs = new SecretInputs();
    inputs.fill('password', CANARY);
    const node = document.createElement('input');
    inputs.register('password', node);
    expect(node.value).toBe(CANARY);
    inputs.clear();
    expect(node.value).toBe('');
    expect(inputs.drafts()).toEqual({});
  });

  test('in a pasted URL goes into its input only', async () => {
    draw({
      takePasted: () => ({ providerId: 'postgresql', fields: { host: 'db', database: 'sales' }, secrets: { password: CANARY } })
    });
    expect(input('password').value).toBe(CANARY);
    expect(input('host').value).toBe('db');
    type('name', 'pasted');
    await press('connvault-save');
    expect(sent[0].draft.secrets).toEqual({ password: { value: CANARY } });
    expect(JSON.stringify(sent[0].draft.fields)).not.toContain(CANARY);
  });

  test('given as a suggested value is dropped', () => {
    draw({ proposal: proposal({ fields: { host: 'db', password: CANARY } }) });
    expect(input('host').value).toBe('db');
    expect(input('password').value).toBe('');
  });
});

test('where the server lets no code ask for plain text the choice says that it changes nothing', () => {
  draw({ revealAllowed: false });
  expect(document.getElementById(input('reveal_allowed').getAttribute('aria-describedby')!)?.textContent).toBe(
    'This server never lets notebook code ask for it, whatever you choose here.'
  );
});

describe('an existing connection', () => {
  test('keeps its secret while its destination stays', async () => {
    draw({ existing: connectionView() });
    type('database', 'other');
    expect(screen.queryByTestId('connvault-moved')).toBeNull();
    await press('connvault-save-test');
    expect(sent[0].draft.secrets).toEqual({});
  });

  test('keeps its secret where only a default was not stored', async () => {
    const view = connectionView();
    const fields = { ...view.connection.fields };
    delete fields.sslmode;
    draw({ existing: { ...view, connection: { ...view.connection, fields } } });
    expect(screen.queryByTestId('connvault-moved')).toBeNull();
    expect(input('password').placeholder).toBe('Leave empty to keep it');
  });

  test('of SSH says that logins are bound where nothing else is stored, and asks for no key', () => {
    const view = connectionView();
    const fields = { host: 'build.test', port: 22, user: 'git', host_key: 'ssh-ed25519 AAAA' };
    const secrets = { private_key: { ref: 'r', set_at: '2026-11-24T09:00:00+00:00', masked: true } };
    draw({
      provider: catalogue('ssh'),
      existing: { ...view, connection: { ...view.connection, provider_id: 'ssh', fields }, secrets }
    });
    expect(input('bound_only').checked).toBe(true);
    expect(screen.queryByTestId('connvault-moved')).toBeNull();
    fireEvent.click(input('bound_only'));
    expect(screen.getByTestId('connvault-moved').textContent).toContain('enter the secret again');
  });

  test('with another destination asks for its secret again', async () => {
    draw({ existing: connectionView() });
    expect(input('password').placeholder).toBe('Leave empty to keep it');
    type('host', 'db.other');
    expect(screen.queryByTestId('connvault-moved')).not.toBeNull();
    expect(input('password').placeholder).toBe('');
    expect(screen.queryByText('Enter it again for the new destination.')).not.toBeNull();
    await press('connvault-save-test');
    expect(sent).toEqual([]);
    expect(screen.queryByText('Enter the password.')).not.toBeNull();
    typeSecret('password', CANARY);
    await press('connvault-save-test');
    expect(sent[0].draft.secrets).toEqual({ password: { value: CANARY } });
  });
});

describe('Enter', () => {
  test('in a field submits, and the notebook around sees no key', async () => {
    const outside = vi.fn();
    draw();
    fill();
    document.body.addEventListener('keydown', outside);
    await act(async () => {
      fireEvent.keyDown(input('host'), { key: 'Enter' });
    });
    document.body.removeEventListener('keydown', outside);
    expect(sent).toHaveLength(1);
    expect(outside).not.toHaveBeenCalled();
  });

  test('that ends the work of an input method does not submit', async () => {
    draw();
    fill();
    await act(async () => {
      fireEvent.keyDown(input('host'), { key: 'Enter', isComposing: true });
    });
    expect(sent).toEqual([]);
  });
});
