/**
 * What the panel is given and passes on to its panes.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Navigation } from '../models/navigation';
import type { IConnvault } from '../tokens';

export interface PanelProps {
  connvault: IConnvault;
  navigation: Navigation;
  trans: TranslationBundle;
  onInsertCode: (connectionId: string) => void;
  onAnswer: () => void;
  /** Whether it is in a notebook's output, where its height is limited. */
  isInline?: boolean;
  /** Whether it shows one form and what follows from it, without the list. */
  isFormOnly?: boolean;
  /** Who could read what passes through the server's process, in the server's words; empty if nobody. */
  exposure?: string;
}
