import { expect, test } from 'vitest';

import { fileName, foreignText } from '../src/foreignText';

test.each([
  ['plain', 'plain'],
  ['Zürich 東京 🚀', 'Zürich 東京 🚀'],
  ['right\u202eot tfel', 'rightot tfel'],
  ['\u2066isolated\u2069', 'isolated'],
  ['\u061cmark\u200f\u200e', 'mark'],
  ['zero\u200bwidth\u200d\u2060\ufeff', 'zerowidth'],
  ['tag\u{e0041}\u{e007f}', 'tag'],
  ['soft\u00adhyphen', 'softhyphen'],
  ['bell\u0007 escape\u001b[31m nul\u0000', 'bell escape[31m nul'],
  ['c1\u009b31m', 'c131m'],
  ['two\nlines\r\nand\u2028more', 'two lines and more'],
  ['\u3164\u115f\u2800blank', 'blank'],
  ['lone\ud800surrogate', 'lonesurrogate'],
  ['  spaces   within  ', 'spaces within']
])('%j is shown as %j', (text, shown) => {
  expect(foreignText(text)).toBe(shown);
});

test('nothing is cut, however long', () => {
  expect(foreignText('x'.repeat(4096))).toHaveLength(4096);
});

test.each([
  ['reports/2026/first.ipynb', 'first.ipynb'],
  ['first.ipynb', 'first.ipynb'],
  ['folder/', 'folder/'],
  ['a/\u202eevil.ipynb', 'evil.ipynb']
])('the file of %j is %j', (path, name) => {
  expect(fileName(path)).toBe(name);
});
