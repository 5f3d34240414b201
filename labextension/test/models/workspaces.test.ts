import { Signal } from '@lumino/signaling';
import { describe, expect, test } from 'vitest';

import type { Workspace } from '../../src/contracts';
import type { EventStream } from '../../src/events';
import { WorkspacesModel } from '../../src/models/workspaces';
import type { RestApi } from '../../src/restapi';
import { workspace } from '../support/workspaceRecords';

const events = { received: new Signal({}), opened: new Signal({}) } as unknown as EventStream;

async function foldersOf(paths: string[], items: Workspace[] = []): Promise<[string, string | null][]> {
  const api = { listWorkspaces: () => Promise.resolve({ items, unreadable: 0 }) } as unknown as RestApi;
  const model = new WorkspacesModel({ api, events, paths: () => paths });
  await model.refresh();
  return model.folders.map(({ path, root }) => [path, root]);
}

describe('the folders that can have a project', () => {
  test('are those at and above the open documents, innermost first', async () => {
    expect(await foldersOf(['a/b/report.ipynb'])).toEqual([
      ['a/b', null],
      ['a', null],
      ['', null]
    ]);
  });

  test('are each there once', async () => {
    expect(await foldersOf(['a/one.ipynb', 'a/two.ipynb', 'b/three.ipynb'])).toEqual([
      ['a', null],
      ['', null],
      ['b', null]
    ]);
  });

  test('are the project alone where there is one', async () => {
    expect(await foldersOf(['shop/deep/report.ipynb'], [workspace()])).toEqual([['shop', '/home/ada/shop']]);
  });

  test("are the server's own if the project is there", async () => {
    const root = workspace({ root: '/home/ada', file: '.connvault/connections.json' });
    expect(await foldersOf(['shop/report.ipynb'], [root])).toEqual([['', '/home/ada']]);
  });

  test('are none without a document', async () => {
    expect(await foldersOf([])).toEqual([]);
  });
});
