import { expect, test } from 'vitest';

import vectors from '../../tests/support/visible_names.json';
import { fileName, foreignName, foreignText, ownName } from '../src/foreignText';

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
  ['no-break\u00a0blank', 'no-break blank'],
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
  ['a/\u202eevil.ipynb', '[U+202E]evil.ipynb'],
  ['a/trusted[U+00A0].ipynb', 'trusted[U+00A0].ipynb']
])('the file of %j is %j', (path, name) => {
  expect(fileName(path)).toBe(name);
});

// As the broker shows them: tests/services/test_visible_names.py.
test.each(vectors as [string, string][])('the name %j is shown as %j', (name, shown) => {
  expect(ownName(name)).toBe(shown);
  expect(foreignName(shown)).toBe(shown);
});

test('every blank of Unicode but the plain one is spelt out', () => {
  for (let code = 0; code <= 0x10ffff; code++) {
    const char = String.fromCodePoint(code);
    if (/\p{White_Space}/u.test(char) && char !== ' ') {
      expect(foreignName(`a${char}b`)).toBe(`a[U+${code.toString(16).toUpperCase().padStart(4, '0')}]b`);
    }
  }
});
