/**
 * Makes text from outside safe to show: invisible characters are removed from sentences, and spelt out in names.
 *
 * Nothing here shortens text: a path that is cut off can mislead.
 */

// Characters that Unicode classes as control, format, private, unassigned or separator, or as ignorable by default
// (joiners, fillers, variation selectors); and the blanks of Braille, hieroglyphs, music and Khitan. The same rule as
// in services/visible_names.py; tests/support/visible_names.json has test vectors for both.
const UNSEEN =
  /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u{13441}\u{13442}\u{1d159}]|\u{16fe4}/gu;

// Blanks at either end or next to each other, and what could pass for a spelt-out character.
const BLANKS = /^ +| +$| {2,}/g;
const BRACKET = /\[(?=U\+)/g;

function codes(text: string): string {
  return [...text].map(char => `[U+${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`).join('');
}

/**
 * Returns a name, a path or an address in which every character that can't be seen, or could pass for a space, is spelt
 * out: `trusted[U+00A0].ipynb`. What the broker has already spelt out stays as it is.
 */
export function foreignName(name: string): string {
  return name.replace(BLANKS, codes).replace(UNSEEN, char => (char === ' ' ? char : codes(char)));
}

/** Does the same for a name that the broker has not seen, and spells out what imitates a spelt-out character. */
export function ownName(name: string): string {
  return foreignName(name.replace(BRACKET, codes));
}

/**
 * Returns a sentence on one line, without control, bidirectional and invisible characters.
 */
export function foreignText(text: string): string {
  const line = text.replace(/[\p{Z}\t\n\v\f\r\u0085]+/gu, ' ');
  return [...line]
    .filter(char => char === ' ' || !char.match(UNSEEN))
    .join('')
    .replace(/ {2,}/g, ' ')
    .trim();
}

/**
 * Returns the last part of a path, which names the file.
 */
export function fileName(path: string): string {
  const clean = foreignName(path);
  return clean.slice(clean.lastIndexOf('/') + 1) || clean;
}
