/**
 * The drawings of the interface: 16 by 16, one line weight. Providers bring their own icons.
 */
import { LabIcon } from '@jupyterlab/ui-components';

import type { ProviderDefinition } from '../contracts';

const PATHS = {
  plus: '<path d="M8 3v10M3 8h10"/>',
  find: '<circle cx="7" cy="7" r="4"/><path d="m10 10 4 4"/>',
  back: '<path d="M10 3 5 8l5 5"/>',
  next: '<path d="m6 3 5 5-5 5"/>',
  arrow: '<path d="M2 8h12M10 4l4 4-4 4"/>',
  code: '<path d="M5 4 1.500 8 5 12M11 4l3.500 4L11 12"/>',
  key: '<circle cx="5" cy="11" r="3"/><path d="m7.200 8.800 6-6M11 5l2 2"/>',
  warn: '<path d="M8 2 14.500 13.500h-13zM8 6.500v3.500M8 11.800v.2"/>',
  check: '<path d="m3 8.500 3.200 3.200L13 5"/>',
  lock: '<rect x="3" y="7" width="10" height="7" rx="1.200"/><path d="M5 7V5a3 3 0 0 1 6 0v2"/>',
  unlock: '<rect x="3" y="7" width="10" height="7" rx="1.200"/><path d="M5 7V5a3 3 0 0 1 5.800-1"/>',
  shield:
    '<path d="M8 1.500 13 3.300v4.200c0 3.200-2.100 5.700-5 7-2.900-1.300-5-3.800-5-7V3.300zM5.600 8l1.700 1.700L10.600 6.300"/>',
  eye: '<path d="M1.500 8S4 3.500 8 3.500 14.500 8 14.500 8 12 12.500 8 12.500 1.500 8 1.500 8z"/><circle cx="8" cy="8" r="2"/>',
  notebook:
    '<rect x="3" y="1.800" width="10" height="12.400" rx="1.200"/><path d="M6 1.800v12.400M1.800 5h2.400M1.800 8h2.400M1.800 11h2.400"/>',
  terminal: '<rect x="1.800" y="2.800" width="12.400" height="10.400" rx="1.200"/><path d="m4.500 6 2 2-2 2M8 10.500h3.500"/>',
  process: '<circle cx="8" cy="8" r="2.200"/><path d="M8 1.800v2.200M8 12v2.200M1.800 8H4M12 8h2.200M3.600 3.600l1.600 1.600M10.800 10.800l1.600 1.600M12.400 3.600l-1.600 1.600M5.200 10.800l-1.600 1.600"/>',
  plug: '<path d="M5.500 1.800v3M10.500 1.800v3M3.500 4.800h9v2.700A4.500 4.500 0 0 1 8 12a4.500 4.500 0 0 1-4.500-4.500zM8 12v2.500"/>',
  clock: '<circle cx="8" cy="8" r="6"/><path d="M8 4.500V8l2.500 1.500"/>',
  stop: '<circle cx="8" cy="8" r="6"/><path d="m3.800 3.800 8.400 8.400"/>'
} as const;

export type IconName = keyof typeof PATHS;

function drawing(body: string, stroke: string): string {
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 16 16" fill="none" ' +
    `stroke-width="1.400" stroke-linecap="round" stroke-linejoin="round"><g ${stroke}>${body}</g></svg>`
  );
}

const icons = Object.fromEntries(
  Object.entries(PATHS).map(([name, body]) => [
    name,
    new LabIcon({ name: `connvault-jupyter:${name}`, svgstr: drawing(body, 'stroke="currentColor"') })
  ])
) as Record<IconName, LabIcon>;

/**
 * The icon of the side bar, where JupyterLab's own classes colour it.
 */
export const connectionsIcon = new LabIcon({
  name: 'connvault-jupyter:connections',
  svgstr: drawing(
    '<path d="M8 1.500 13 3.300v4.200c0 3.200-2.100 5.700-5 7-2.900-1.300-5-3.800-5-7V3.300z"/>' +
      '<circle cx="8" cy="6.600" r="1.600"/><path d="M8 8.200v2.600"/>',
    'class="jp-icon3" stroke="#616161"'
  )
});

/**
 * A drawing beside words. It says nothing by itself, so assistive technology skips it.
 */
export function Icon({ name, className }: { name: IconName; className?: string }): JSX.Element {
  const Drawing = icons[name].react;
  return (
    <span aria-hidden="true" className={`jp-connvault-icon ${className ?? ''}`}>
      <Drawing tag="span" />
    </span>
  );
}

/** A drawing as large as a provider's icon. */
export function Glyph({ name }: { name: IconName }): JSX.Element {
  return (
    <span className="jp-connvault-glyph">
      <Icon name={name} />
    </span>
  );
}

const CATEGORY_ICONS: { [category: string]: IconName } = { database: 'plug', api: 'code', storage: 'plug', other: 'key' };

/** A provider's own icon as an image (never as markup), or else a drawing for its category. */
export function ProviderIcon({ provider }: { provider: ProviderDefinition | undefined }): JSX.Element {
  const svg = provider?.icon;
  return (
    <span className="jp-connvault-glyph">
      {svg ? (
        <img
          alt=""
          draggable={false}
          // An image can't take on the text colour, so an icon drawn in a single colour is inverted in dark themes.
          className={svg.includes('currentColor') ? 'jp-mod-oneColour' : undefined}
          src={`data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`}
        />
      ) : (
        <Icon name={CATEGORY_ICONS[provider?.category ?? 'other'] ?? 'key'} />
      )}
    </span>
  );
}
