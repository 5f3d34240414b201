/**
 * A screen beside the list with one thing to do: its header, what has to be decided, and at its foot the button.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { FormEvent, ReactNode } from 'react';

import { submitOnEnter } from '../ui/outputKeys';
import { ScreenHeader } from './ScreenHeader';

interface ActionScreenProps {
  title: string;
  testId: string;
  /** The button; its words say what it does, or that it is being done. */
  action: { words: string; testId: string; isDisabled: boolean; isDanger?: boolean };
  trans: TranslationBundle;
  children: ReactNode;
  onAct: () => void;
  onCancel: () => void;
}

export function ActionScreen({ title, testId, action, trans, children, onAct, onCancel }: ActionScreenProps): JSX.Element {
  return (
    <form
      className="jp-connvault-screen"
      aria-label={title}
      data-testid={testId}
      noValidate
      autoComplete="off"
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        if (!action.isDisabled) {
          onAct();
        }
      }}
      onKeyDown={submitOnEnter}
    >
      <ScreenHeader title={title} onBack={onCancel} trans={trans} />
      <div className="jp-connvault-scroll">{children}</div>
      <div className="jp-connvault-foot">
        <button
          type="submit"
          className={`jp-connvault-button ${action.isDanger ? 'jp-mod-danger' : 'jp-mod-primary'}`}
          data-testid={action.testId}
          disabled={action.isDisabled}
        >
          {action.words}
        </button>
        <button type="button" className="jp-connvault-button" onClick={onCancel}>
          {trans.__('Cancel')}
        </button>
      </div>
    </form>
  );
}
