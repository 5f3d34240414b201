/**
 * The activity log as a file: of which connections, in which format.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useState } from 'react';

import type { ExportFormat } from '../contracts';
import { Icon } from '../ui/icons';
import { saveFile } from '../ui/saveFile';

interface Kind {
  format: ExportFormat;
  /** Only of the connection that is shown. */
  isFiltered: boolean;
}

// Whole first: only that can be followed event by event.
const KINDS: readonly Kind[] = [
  { format: 'jsonl', isFiltered: false },
  { format: 'csv', isFiltered: false },
  { format: 'jsonl', isFiltered: true },
  { format: 'csv', isFiltered: true }
];

const TYPES: { [format in ExportFormat]: string } = { jsonl: 'application/jsonl', csv: 'text/csv' };

interface ActivityExportProps {
  name: string;
  trans: TranslationBundle;
  onExport: (format: ExportFormat, isFiltered: boolean) => Promise<string[]>;
  /** Shows what goes wrong. */
  attempt: (action: () => Promise<unknown>) => Promise<void>;
  onDone: () => void;
}

/** In the place of the foot, as long as it is asked for. */
export function ActivityExport({ name, trans, onExport, attempt, onDone }: ActivityExportProps): JSX.Element {
  const [chosen, setChosen] = useState(0);
  const [isBusy, setBusy] = useState(false);
  const words = ({ format, isFiltered }: Kind): string => {
    const formatName = format === 'csv' ? 'CSV' : trans.__('JSON lines');
    return isFiltered ? trans.__('Only %1, as %2', name, formatName) : trans.__('All connections, as %1', formatName);
  };
  const save = async (): Promise<void> => {
    const { format, isFiltered } = KINDS[chosen];
    setBusy(true);
    await attempt(async () => {
      const pieces = await onExport(format, isFiltered);
      const day = new Date().toISOString().slice(0, 10);
      saveFile(`connvault-activity-${isFiltered ? `${name}-` : ''}${day}.${format}`, pieces, TYPES[format]);
    });
    onDone();
  };
  return (
    <div className="jp-connvault-foot" role="group" aria-label={trans.__('Export the activity log')}>
      <span className="jp-connvault-select jp-connvault-grow">
        <select
          className="jp-connvault-input"
          aria-label={trans.__('What to export')}
          data-testid="connvault-export-kind"
          value={chosen}
          onChange={event => setChosen(Number(event.target.value))}
        >
          {KINDS.map((kind, index) => (
            <option key={`${kind.format}-${kind.isFiltered}`} value={index}>
              {words(kind)}
            </option>
          ))}
        </select>
        <Icon name="next" className="jp-connvault-chevron" />
      </span>
      <button type="button" className="jp-connvault-button" onClick={onDone}>
        {trans.__('Cancel')}
      </button>
      <button
        type="button"
        className="jp-connvault-button jp-mod-primary"
        data-testid="connvault-export"
        disabled={isBusy}
        onClick={() => void save()}
      >
        {isBusy ? trans.__('Exporting …') : trans.__('Export')}
      </button>
    </div>
  );
}
