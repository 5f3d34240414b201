/**
 * One connection of a file, what importing it would do, and what the person wants.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { ImportDecision, ImportEntry } from '../contracts';
import { foreignText } from '../foreignText';
import { Icon } from '../ui/icons';
import type { Word } from '../ui/Pill';
import { Pill } from '../ui/Pill';

export interface Plan {
  action: ImportDecision['action'];
  /** Under which name it is added; `''`: its own. */
  asName: string;
}

/** What is done unless the person wants something else: nothing that is here already is touched. */
export function planFor(entry: ImportEntry): Plan {
  return { action: entry.would === 'new' ? 'add' : 'skip', asName: '' };
}

function planOf(action: Plan['action'], entry: ImportEntry): Plan {
  return { action, asName: action === 'add' && entry.present ? `${entry.name}-2` : '' };
}

export function decisionOf(entry: ImportEntry, { action, asName }: Plan): ImportDecision {
  return {
    name: entry.name,
    action,
    ...(action === 'add' && asName ? { as_name: asName } : {}),
    ...(action === 'replace' && entry.present ? { revision: entry.present.revision } : {})
  };
}

interface ImportRowProps {
  entry: ImportEntry;
  plan: Plan;
  trans: TranslationBundle;
  onPlan: (plan: Plan) => void;
}

export function ImportRow({ entry, plan, trans, onPlan }: ImportRowProps): JSX.Element {
  const { present } = entry;
  const isPossible = entry.would !== 'unknown_kind' && entry.would !== 'invalid';
  const needsName = plan.action === 'add' && present !== null;
  return (
    <li className="jp-connvault-import" data-testid={`connvault-import-${entry.name}`}>
      <div className="jp-connvault-importHead">
        <b>{entry.name}</b>
        <Pill word={wouldWord(entry, trans)} />
      </div>
      <small>
        {entry.provider_name || foreignText(entry.provider_id)}
        {entry.secrets.length ? trans.__(' · with its secrets') : trans.__(' · without secrets')}
        {entry.reveal_allowed && plan.action !== 'replace' && trans.__(' · may be revealed')}
      </small>
      <div className="jp-connvault-importPlace">{foreignText(entry.destination)}</div>
      {present && entry.would === 'other_destination' && (
        <div className="jp-connvault-importPlace jp-mod-err" data-testid={`connvault-import-${entry.name}-here`}>
          <Icon name="warn" />
          <span>{trans.__('Here “%1” leads to %2', present.name, foreignText(present.destination))}</span>
        </div>
      )}
      {isPossible && (
        <span className="jp-connvault-select">
          <select
            className="jp-connvault-input"
            aria-label={trans.__('What to do with %1', entry.name)}
            data-testid={`connvault-import-${entry.name}-action`}
            value={plan.action}
            onChange={event => onPlan(planOf(event.target.value as Plan['action'], entry))}
          >
            <option value="skip">{trans.__('Skip')}</option>
            <option value="add">{present ? trans.__('Add under another name') : trans.__('Add')}</option>
            {present && <option value="replace">{trans.__('Replace the one that is here')}</option>}
          </select>
          <Icon name="next" className="jp-connvault-chevron" />
        </span>
      )}
      {needsName && (
        <input
          className="jp-connvault-input"
          aria-label={trans.__('Name for %1', entry.name)}
          data-testid={`connvault-import-${entry.name}-name`}
          value={plan.asName}
          onChange={event => onPlan({ action: 'add', asName: event.target.value.trim() })}
        />
      )}
      {plan.action === 'replace' && (
        <small className="jp-connvault-importNote">
          {trans.__('Its secrets and permissions here end. What is open is closed.')}
        </small>
      )}
    </li>
  );
}

function wouldWord({ would }: ImportEntry, trans: TranslationBundle): Word {
  switch (would) {
    case 'new':
      return { text: trans.__('New'), tone: 'ok' };
    case 'same':
      return { text: trans.__('Already here'), tone: 'mute' };
    case 'name_taken':
      return { text: trans.__('Name is taken'), tone: 'warn' };
    case 'other_destination':
      return { text: trans.__('Leads elsewhere'), tone: 'err' };
    case 'unknown_kind':
      return { text: trans.__('Kind is not installed'), tone: 'mute' };
    case 'invalid':
      return { text: trans.__('Does not fit its kind'), tone: 'mute' };
  }
}
