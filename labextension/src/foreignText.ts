/**
 * Text that comes from outside (names, paths, the code's own words) made safe to show.
 *
 * Nothing here shortens: a path that is cut is a path that can lie.
 */

// C0 and C1 controls, soft hyphen, Arabic letter mark, zero-width and directional marks, line and paragraph
// separators, directional embeddings and isolates, invisible operators, byte order mark, interlinear and tag
// characters: all that can hide or reorder what a person reads.
const HIDDEN: readonly (readonly [from: number, to: number])[] = [
  [0x0000, 0x001f],
  [0x007f, 0x009f],
  [0x00ad, 0x00ad],
  [0x034f, 0x034f],
  [0x061c, 0x061c],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0x2800, 0x2800],
  [0x3164, 0x3164],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff9, 0xfffb],
  [0x1d173, 0x1d17a],
  [0xe0000, 0xe0fff]
];

function isHidden(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  // A surrogate without its other half draws as a box at best.
  return (code >= 0xd800 && code <= 0xdfff) || HIDDEN.some(([from, to]) => code >= from && code <= to);
}

/**
 * The text without control, bidirectional and invisible characters, in one line.
 */
export function foreignText(text: string): string {
  const line = text.replace(/[\t\n\v\f\r\u0085\u2028\u2029]+/g, ' ');
  return [...line]
    .filter(character => !isHidden(character))
    .join('')
    .replace(/ {2,}/g, ' ')
    .trim();
}

/**
 * The last part of a path, which names the file.
 */
export function fileName(path: string): string {
  const clean = foreignText(path);
  return clean.slice(clean.lastIndexOf('/') + 1) || clean;
}
