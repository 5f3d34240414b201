/**
 * What surrounds an input, in the form and wherever else a value is typed.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReactNode } from 'react';

import { Icon } from '../ui/icons';

interface FieldFrameProps {
  id: string;
  label: string;
  /** `false` marks the field as optional; if left out, the field counts as required. */
  required?: boolean;
  hint?: ReactNode;
  problem?: string;
  /** Whether it holds a value that code suggested. */
  isSuggested?: boolean;
  trans: TranslationBundle;
  children: ReactNode;
}

/** A label, an input, what is wrong, and a hint. The input names `${id}__error` and `${id}__help` as its description. */
export function FieldFrame(props: FieldFrameProps): JSX.Element {
  const { id, label, required, hint, problem, trans } = props;
  return (
    <div className="jp-connvault-field">
      <label htmlFor={id}>
        {label}
        {props.isSuggested && <SuggestedMark trans={trans} />}
        {required === false && <span className="jp-connvault-optional"> {trans.__('optional')}</span>}
      </label>
      {props.children}
      {problem && (
        <div id={`${id}__error`} className="jp-connvault-problem">
          <Icon name="warn" />
          <span>{problem}</span>
        </div>
      )}
      {hint && (
        <div id={`${id}__help`} className="jp-connvault-hint">
          {hint}
        </div>
      )}
    </div>
  );
}

/** Marks a value as suggested by code. */
export function SuggestedMark({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <span className="jp-connvault-suggested" data-testid="connvault-suggested">
      {trans.__('suggested by code')}
    </span>
  );
}
