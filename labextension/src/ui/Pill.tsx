/**
 * A state in a word or two, in a colour that says how good or bad it is.
 */
import type { IconName } from './icons';
import { Icon } from './icons';

export type Tone = 'ok' | 'warn' | 'err' | 'mute';

export interface Word {
  text: string;
  tone: Tone;
}

export function Pill({ word, icon, title }: { word: Word; icon?: IconName; title?: string }): JSX.Element {
  return (
    <span className={`jp-connvault-pill jp-mod-${word.tone}`} title={title}>
      {icon && <Icon name={icon} />}
      {word.text}
    </span>
  );
}
