/**
 * Whose a new connection is: the person's own, or a project's, which commits all of it but the secret.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useId } from 'react';

import { foreignName } from '../foreignText';
import type { ProjectFolder } from '../tokens';
import { Icon } from '../ui/icons';
import { FieldFrame } from './FieldFrame';

interface ProjectChoiceProps {
  folders: readonly ProjectFolder[];
  /** The chosen folder, below the server's root; `null`: it is of no project. */
  value: string | null;
  trans: TranslationBundle;
  onChange: (folder: string | null) => void;
}

// Of no folder: all of them are paths, and the root is the empty one.
const OWN = '//';

export function ProjectChoice({ folders, value, trans, onChange }: ProjectChoiceProps): JSX.Element {
  const id = useId();
  return (
    <FieldFrame
      id={id}
      label={trans.__('Available in')}
      hint={
        value === null
          ? undefined
          : trans.__('It is written into %1, without the secret. Commit that file: everybody else enters a secret of their own.', fileIn(value))
      }
      trans={trans}
    >
      <span className="jp-connvault-select">
        <select
          id={id}
          className="jp-connvault-input"
          data-testid="connvault-field-project"
          aria-describedby={`${id}__help`}
          value={value ?? OWN}
          onChange={event => onChange(event.target.value === OWN ? null : event.target.value)}
        >
          <option value={OWN}>{trans.__('All my notebooks')}</option>
          {folders.map(({ path }) => (
            <option key={path} value={path}>
              {path ? trans.__('Project %1', foreignName(path)) : trans.__('Project in the top folder')}
            </option>
          ))}
        </select>
        <Icon name="next" className="jp-connvault-chevron" />
      </span>
    </FieldFrame>
  );
}

function fileIn(folder: string): string {
  return foreignName([...(folder ? [folder] : []), '.connvault/connections.json'].join('/'));
}
