import { describe, expect, test } from 'vitest';

import { insertBelowIndex, insertedSource } from '../../src/models/insertion';

const code = (source: string) => ({ isCode: true, source });
const text = (source: string) => ({ isCode: false, source });
const LOAD = code('%load_ext connvault_jupyter\nfrom connvault_jupyter import connection');

describe('a cell with code is inserted', () => {
  test.each([
    ['below the active cell where nothing is loaded', [code('a'), code('b')], 0, 0],
    ['below the cell that loads, when the active one is above it', [text('# T'), code('a'), LOAD, code('b')], 0, 2],
    ['below the cell that loads, when that is the active one', [text('# T'), LOAD, code('b')], 1, 1],
    ['below the active cell, when that is further down', [LOAD, code('a'), code('b')], 2, 2],
    ['below the first of several that load', [code('a'), LOAD, code('b'), LOAD], 0, 1],
    ['after a reload too', [code('a'), code('  %reload_ext  connvault_jupyter')], 0, 1],
    ['and words about loading do not count', [code('a'), text('%load_ext connvault_jupyter')], 0, 0],
    ['nor a comment', [code('a'), code('# %load_ext connvault_jupyter')], 0, 0],
    ['nor another extension', [code('a'), code('%load_ext connvault_jupyter_more')], 0, 0],
    ['and into an empty notebook', [], -1, -1]
  ])('%s', (_, cells, active, below) => {
    expect(insertBelowIndex(cells, active)).toBe(below);
  });
});

describe('inserted code', () => {
  test.each([
    ['nothing is loaded', [code('a')]],
    ['only words are about loading', [text('%load_ext connvault_jupyter'), code('# %load_ext connvault_jupyter')]],
    ['there is no cell', []]
  ])('loads the extension first where %s', (_, cells) => {
    expect(insertedSource(cells, 'use()')).toBe('%load_ext connvault_jupyter\n\nuse()');
  });

  test('stands alone where a cell loads it', () => {
    expect(insertedSource([code('a'), LOAD], 'use()')).toBe('use()');
  });
});
