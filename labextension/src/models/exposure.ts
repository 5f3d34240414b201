/**
 * What the server says about itself in the page's configuration, which is text.
 */

/** Returns who could read what passes through the server, in its own words; empty if nobody, or if it does not say. */
export function exposureOf(option: string): string {
  try {
    const found = (JSON.parse(option) as { exposure?: unknown } | null)?.exposure;
    return typeof found === 'string' ? found : '';
  } catch {
    return '';
  }
}
