/**
 * Names from outside as they are drawn: whole, with what can't be seen in them spelt out.
 */
import { Fragment } from 'react';

import { foreignName } from '../foreignText';

/** A name or a value from outside: whole, with all that is in it, and its direction kept to itself. */
export function ForeignName({ text, className }: { text: string; className?: string }): JSX.Element {
  const clean = foreignName(text);
  return (
    <bdi className={className} title={clean}>
      {clean}
    </bdi>
  );
}

/** A file's name that may go on in the next line after a full stop, a dash or an underscore, before it is cut in a word. */
export function BreakableName({ text }: { text: string }): JSX.Element {
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
