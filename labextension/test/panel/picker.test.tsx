import { act, fireEvent, screen, waitFor } from '@testing-library/react';
import { beforeEach, describe, expect, test } from 'vitest';

import { catalogue } from '../support/catalogue';
import { connvault, draw, go, navigation, press } from '../support/drawnPanel';
import { provider } from '../support/records';

describe('the picker', () => {
  test('shows kinds with icon, name and description, and leads to the form', async () => {
    connvault.connections.providers = [provider({ icon: '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' })];
    await draw();
    await press('connvault-new');
    const tile = screen.getByTestId('connvault-provider-postgresql');
    expect(tile.textContent).toContain('A PostgreSQL database.');
    expect(tile.querySelector('svg script')).toBeNull();
    expect(tile.querySelector('img')?.getAttribute('src')).toMatch(/^data:image\/svg\+xml/);
    await press('connvault-provider-postgresql');
    await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
  });

  describe('with many kinds', () => {
    const KINDS = [
      ['secret', 'Secret value', 'other'],
      ['ssh', 'SSH', 'other'],
      ['http', 'HTTP API', 'api'],
      ['openai', 'OpenAI-compatible API', 'api'],
      ['elasticsearch', 'Elasticsearch', 'api'],
      ['s3', 'S3-compatible storage', 'storage'],
      ['redis', 'Redis', 'database'],
      ['postgresql', 'PostgreSQL', 'database'],
      ['mysql', 'MySQL or MariaDB', 'database']
    ] as const;
    const shown = (): (string | undefined)[] =>
      [...document.querySelectorAll<HTMLElement>('.jp-connvault-tile')].map(tile => tile.dataset.testid?.replace('connvault-provider-', ''));
    const titles = (): (string | null)[] =>
      [...document.querySelectorAll('.jp-connvault-side h3')].map(item => item.textContent);
    const search = (value: string): void =>
      void fireEvent.change(screen.getByTestId('connvault-picker-search'), { target: { value } });

    beforeEach(async () => {
      connvault.connections.providers = KINDS.map(([id, name, category]) =>
        provider({ id, name, category, description: id === 's3' ? 'Buckets and their files.' : '' })
      );
      navigation.go({ name: 'picker' });
      await draw();
    });

    test('groups them, by name, and what fits anything last', () => {
      expect(titles()).toEqual(['Databases', 'APIs', 'Storage', 'Anything else']);
      expect(shown()).toEqual(['mysql', 'postgresql', 'redis', 'elasticsearch', 'openai', 'http', 's3', 'ssh', 'secret']);
    });

    test.each([
      ['maria', ['mysql']],
      ['api', ['openai', 'http', 'elasticsearch']],
      ['s', ['s3', 'ssh', 'secret', 'mysql', 'postgresql', 'redis', 'elasticsearch', 'openai', 'http']],
      ['bucket', ['s3']],
      ['databases', ['mysql', 'postgresql', 'redis']],
      ['  Open   AI', ['openai']],
      ['nothing like it', []]
    ])('%j finds %j, the best first', (query, found) => {
      search(query);
      expect(shown()).toEqual(found);
      expect(titles()).toEqual([]);
      expect([...document.querySelectorAll('[data-first]')].length).toBe(found.length ? 1 : 0);
    });

    test('takes the best with Enter', async () => {
      search('maria');
      fireEvent.keyDown(screen.getByTestId('connvault-picker-search'), { key: 'Enter' });
      await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
      expect(navigation.screen).toMatchObject({ name: 'create', providerId: 'mysql' });
    });

    test('goes with the arrow keys as the eye does', () => {
      // Two columns in each group; a group's rows are 50 px apart, groups 200.
      const columns: { [id: string]: [number, number] } = {
        mysql: [0, 0], postgresql: [1, 0], redis: [0, 50],
        elasticsearch: [0, 200], openai: [1, 200], http: [0, 250],
        s3: [0, 400], ssh: [0, 600], secret: [1, 600]
      };
      for (const tile of document.querySelectorAll<HTMLElement>('.jp-connvault-tile')) {
        const [column, top] = columns[tile.dataset.testid!.replace('connvault-provider-', '')];
        tile.getBoundingClientRect = () => ({ left: column * 150, top }) as DOMRect;
      }
      const at = (): string | undefined => (document.activeElement as HTMLElement).dataset.testid?.replace('connvault-provider-', '');
      const walk = (key: string): void => void fireEvent.keyDown(document.activeElement!, { key });
      screen.getByTestId('connvault-picker-search').focus();
      const way: [string, string][] = [
        ['ArrowDown', 'mysql'], ['ArrowRight', 'postgresql'], ['ArrowDown', 'redis'], ['ArrowDown', 'elasticsearch'],
        ['ArrowRight', 'openai'], ['ArrowDown', 'http'], ['ArrowDown', 's3'], ['ArrowUp', 'http'], ['ArrowUp', 'elasticsearch'],
        ['End', 'secret'], ['ArrowRight', 'secret'], ['ArrowDown', 'secret'], ['Home', 'mysql'], ['ArrowLeft', 'mysql'], ['ArrowUp', 'connvault-picker-search']
      ];
      for (const [key, expected] of way) {
        walk(key);
        expect(at()).toBe(expected);
      }
    });
  });

  test('names the kinds that could not be used', async () => {
    connvault.connections.skipped = [{ source: 'odd.json', reason: 'no fields' }];
    navigation.go({ name: 'picker' });
    await draw();
    expect(screen.queryByText('1 kind could not be used')).not.toBeNull();
    expect(screen.queryByText(/no fields/)).not.toBeNull();
  });

  test('takes a pasted URL apart; its password is in no state', async () => {
    navigation.go({ name: 'picker' });
    await draw();
    await act(async () => {
      fireEvent.paste(screen.getByTestId('connvault-picker-search'), {
        clipboardData: { getData: () => 'postgresql://app:hunter2-canary@db.internal/sales' }
      });
    });
    await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
    expect((screen.getByTestId('connvault-field-host') as HTMLInputElement).value).toBe('db.internal');
    expect((screen.getByTestId('connvault-field-password') as HTMLInputElement).value).toBe('hunter2-canary');
    expect(JSON.stringify(navigation.screen)).not.toContain('hunter2-canary');
    expect(document.documentElement.outerHTML).not.toContain('hunter2-canary');
  });
});

describe('the search of the picker', () => {
  const box = (): HTMLInputElement => screen.getByTestId('connvault-picker-search');
  const paste = (text: string): Promise<void> =>
    act(async () => {
      fireEvent.paste(box(), { clipboardData: { getData: () => text } });
    });
  const typeIn = (value: string): void => void fireEvent.change(box(), { target: { value } });

  beforeEach(async () => {
    connvault.connections.providers = ['postgresql', 'mysql', 'redis', 'http'].map(catalogue);
    navigation.go({ name: 'picker' });
    await draw();
  });

  test.each([
    ['mysql://app:hunter2-canary@db.internal/sales', 'host', 'db.internal'],
    ['rediss://:hunter2-canary@cache.internal/3', 'database', '3'],
    ['https://app:hunter2-canary@api.example.com', 'base_url', 'https://api.example.com']
  ])('takes %j apart, pasted or with Enter', async (text, field, value) => {
    typeIn(text);
    expect(screen.queryByText('Press Enter to fill in a form with it.')).not.toBeNull();
    await act(async () => void fireEvent.keyDown(box(), { key: 'Enter' }));
    await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
    expect((screen.getByTestId(`connvault-field-${field}`) as HTMLInputElement).value).toBe(value);
    expect((screen.getByTestId('connvault-field-password') as HTMLInputElement).value).toBe('hunter2-canary');
    await go({ name: 'picker' });
    await paste(text);
    await waitFor(() => expect(screen.getByTestId('connvault-form')).toBeTruthy());
    expect((screen.getByTestId('connvault-field-password') as HTMLInputElement).value).toBe('hunter2-canary');
    expect(document.documentElement.outerHTML).not.toContain('hunter2-canary');
  });

  test.each(['mongodb://app:hunter2-canary@db/sales', 'curl -u app:hunter2-canary https://api.example.com'])(
    'does not keep %j, and says so',
    async text => {
      await paste(text);
      expect(screen.getByRole('alert').textContent).toContain('removed from the box');
      typeIn(text);
      expect(box().value).toBe('');
      expect(document.documentElement.outerHTML).not.toContain('hunter2-canary');
      expect(screen.queryByTestId('connvault-provider-mysql')).not.toBeNull();
    }
  );

  test('says so while the rest is typed, until the box is emptied', () => {
    typeIn('mongodb://app:hunter2-canary@');
    expect(box().value).toBe('');
    typeIn('db/sales');
    expect(screen.queryByRole('alert')).not.toBeNull();
    typeIn('');
    expect(screen.queryByRole('alert')).toBeNull();
  });

  test('does not keep a URL of a kind that is not offered', async () => {
    await act(async () => {
      connvault.connections.providers = [catalogue('http')];
      connvault.connections.changed.emit();
    });
    await paste('mysql://app:hunter2-canary@db/sales');
    expect(screen.queryByRole('alert')).not.toBeNull();
    expect(box().value).toBe('');
  });

  test('leaves an address without a password to be read', () => {
    typeIn('mongodb://db:27017');
    expect(box().value).toBe('mongodb://db:27017');
    expect(screen.queryByText(/No kind has this name/)).not.toBeNull();
  });
});
