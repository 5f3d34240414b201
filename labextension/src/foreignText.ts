/**
 * Text that comes from outside made safe to show: sentences lose what can't be seen in them, names show it.
 *
 * Nothing here shortens: a path that is cut is a path that can lie.
 */

// What Unicode counts among control, format, private and unassigned characters and separators, or says may be drawn as
// nothing (joiners, fillers, variation selectors); and the blanks of Braille, hieroglyphs, music and Khitan.
// The same rule as services/visible_names.py; tests/support/visible_names.json has vectors for both.
const UNSEEN =
  /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u{13441}\u{13442}\u{1d159}]|\u{16fe4}/gu;

// Blanks at an end or side by side, and what would pass for a spelt-out character.
const BLANKS = /^ +| +$| {2,}/g;
const BRACKET = /\[(?=U\+)/g;

function codes(text: string): string {
  return [...text].map(char => `[U+${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`).join('');
}

/**
 * A name, a path or an address with each character that can't be seen, or passes for another blank, spelt out:
 * `trusted[U+00A0].ipynb`. What the broker has spelt out already stays as it is.
 */
export function foreignName(name: string): string {
  return name.replace(BLANKS, codes).replace(UNSEEN, char => (char === ' ' ? char : codes(char)));
}

/** The same for a name that the broker has not seen: one that imitates a spelt-out character shows that too. */
export function ownName(name: string): string {
  return foreignName(name.replace(BRACKET, codes));
}

/**
 * A sentence without control, bidirectional and invisible characters, in one line.
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
 * The last part of a path, which names the file.
 */
export function fileName(path: string): string {
  const clean = foreignName(path);
  return clean.slice(clean.lastIndexOf('/') + 1) || clean;
}
