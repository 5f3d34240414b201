/**
 * The small parts that the screens are made of: pills, glyphs, headers, foreign words.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReactNode } from 'react';
import { Fragment } from 'react';

import type { ProviderDefinition } from '../contracts';
import { foreignName, foreignText } from '../foreignText';
import type { IconName } from '../icons';
import { Icon } from '../icons';
import type { Tone, Word } from './words';
import { notSealedAdvice } from './words';

export function Pill({ word, icon, title }: { word: Word; icon?: IconName; title?: string }): JSX.Element {
  return (
    <span className={`jp-connvault-pill jp-mod-${word.tone}`} title={title}>
      {icon && <Icon name={icon} />}
      {word.text}
    </span>
  );
}

/** A name or a value from outside: whole, with all that is in it, and its direction kept to itself. */
export function Foreign({ text, className }: { text: string; className?: string }): JSX.Element {
  const clean = foreignName(text);
  return (
    <bdi className={className} title={clean}>
      {clean}
    </bdi>
  );
}

/** A file's name that may go on in the next line after a full stop, a dash or an underscore, before it is cut in a word. */
export function Breakable({ text }: { text: string }): JSX.Element {
  return (
    <>
      {text.split(/(?<=[-._/])/).map((part, index) => (
        <Fragment key={index}>
          {index > 0 && <wbr />}
          {part}
        </Fragment>
      ))}
    </>
  );
}

const CATEGORY_ICONS: { [category: string]: IconName } = { database: 'plug', api: 'code', storage: 'plug', other: 'key' };

/** A provider's own icon, as an image (never as markup), or a drawing of its category. */
export function ProviderIcon({ provider }: { provider: ProviderDefinition | undefined }): JSX.Element {
  const svg = provider?.icon;
  return (
    <span className="jp-connvault-glyph">
      {svg ? (
        <img
          alt=""
          draggable={false}
          // An image can't take the colour of the text: one drawn in a single colour is inverted in dark themes.
          className={svg.includes('currentColor') ? 'jp-mod-oneColour' : undefined}
          src={`data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`}
        />
      ) : (
        <Icon name={CATEGORY_ICONS[provider?.category ?? 'other'] ?? 'key'} />
      )}
    </span>
  );
}

export function Glyph({ name }: { name: IconName }): JSX.Element {
  return (
    <span className="jp-connvault-glyph">
      <Icon name={name} />
    </span>
  );
}

export interface ScreenHeaderProps {
  title: string;
  onBack?: () => void;
  trans: TranslationBundle;
  children?: ReactNode;
}

export function ScreenHeader({ title, onBack, trans, children }: ScreenHeaderProps): JSX.Element {
  return (
    <header className="jp-connvault-header">
      {onBack && (
        <button
          type="button"
          className="jp-connvault-button jp-mod-ghost"
          aria-label={trans.__('Back to the list')}
          title={trans.__('Back')}
          data-testid="connvault-back"
          onClick={onBack}
        >
          <Icon name="back" />
        </button>
      )}
      <h2 className="jp-connvault-title" title={foreignText(title)} tabIndex={-1}>
        {foreignText(title)}
      </h2>
      {children}
    </header>
  );
}

export function Banner(props: { tone: Tone; icon: IconName; children: ReactNode; action?: ReactNode; testId?: string }): JSX.Element {
  return (
    <div className={`jp-connvault-banner jp-mod-${props.tone}`} role="status" data-testid={props.testId}>
      <Icon name={props.icon} />
      <span className="jp-connvault-grow">{props.children}</span>
      {props.action}
    </div>
  );
}

/** Beside what is typed: that it leaves this page readable, where it does. */
export function NotSealed({ seals, trans }: { seals: boolean; trans: TranslationBundle }): JSX.Element | null {
  return seals ? null : (
    <p className="jp-connvault-hint jp-connvault-notSealed" role="note" data-testid="connvault-not-sealed">
      <Icon name="unlock" />
      <span>{notSealedAdvice(trans)}</span>
    </p>
  );
}

/** What was wanted does not exist. */
export function Gone({ trans, onBack }: { trans: TranslationBundle; onBack: () => void }): JSX.Element {
  return (
    <div className="jp-connvault-screen">
      <ScreenHeader title={trans.__('Not found')} onBack={onBack} trans={trans} />
      <p className="jp-connvault-empty" role="status">
        {trans.__('This no longer exists.')}
      </p>
    </div>
  );
}

export function Waiting({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <p className="jp-connvault-empty" role="status">
      {trans.__('Loading …')}
    </p>
  );
}
