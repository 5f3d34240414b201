/**
 * The line at the top of a screen beside the list: a back button, and what the screen is about.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReactNode } from 'react';

import { foreignText } from '../foreignText';
import { Icon } from '../ui/icons';

interface ScreenHeaderProps {
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

/** The whole screen, if what was asked for does not exist. */
export function NotFound({ trans, onBack }: { trans: TranslationBundle; onBack: () => void }): JSX.Element {
  return (
    <div className="jp-connvault-screen">
      <ScreenHeader title={trans.__('Not found')} onBack={onBack} trans={trans} />
      <p className="jp-connvault-empty" role="status">
        {trans.__('This no longer exists.')}
      </p>
    </div>
  );
}
