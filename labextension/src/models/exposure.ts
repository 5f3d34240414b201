/**
 * What the server says of itself in the page's configuration, which is text.
 */

/** Who could read what passes through the server, in its words; empty if nobody, or if it says nothing. */
export function exposureOf(option: string): string {
  try {
    const found = (JSON.parse(option) as { exposure?: unknown } | null)?.exposure;
    return typeof found === 'string' ? found : '';
  } catch {
    return '';
  }
}
