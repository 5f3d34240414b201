/**
 * What a part of the interface says about itself: what is wrong or important to know, or that it waits for the server.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReactNode } from 'react';

import type { IconName } from './icons';
import { Icon } from './icons';
import type { Tone } from './Pill';

interface BannerProps {
  tone: Tone;
  icon: IconName;
  /** Whether it is read out at once, as errors are. */
  isAlert?: boolean;
  children: ReactNode;
  action?: ReactNode;
  testId?: string;
}

export function Banner(props: BannerProps): JSX.Element {
  return (
    <div
      className={`jp-connvault-banner jp-mod-${props.tone}`}
      role={props.isAlert ? 'alert' : 'status'}
      data-testid={props.testId}
    >
      <Icon name={props.icon} />
      <span className="jp-connvault-grow">{props.children}</span>
      {props.action}
    </div>
  );
}

/** Warns, beside an input, if what is typed leaves this page unsealed. */
export function NotSealed({ seals, trans }: { seals: boolean; trans: TranslationBundle }): JSX.Element | null {
  return seals ? null : (
    <p className="jp-connvault-hint jp-connvault-notSealed" role="note" data-testid="connvault-not-sealed">
      <Icon name="unlock" />
      <span>
        {trans.__(
          'This page is not on a secure origin (https or localhost): the Jupyter server, and anyone on the network path to it, can read what you type.'
        )}
      </span>
    </p>
  );
}

export function Waiting({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <p className="jp-connvault-empty" role="status">
      {trans.__('Loading …')}
    </p>
  );
}
