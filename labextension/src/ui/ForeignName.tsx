/**
 * Names from outside as they are drawn: in full, with characters that can't be seen spelt out.
 */
import { Fragment } from 'react';

import { foreignName } from '../foreignText';

/** A name or a value from outside, in full, with its text direction isolated. */
export function ForeignName({ text, className }: { text: string; className?: string }): JSX.Element {
  const clean = foreignName(text);
  return (
    <bdi className={className} title={clean}>
      {clean}
    </bdi>
  );
}

/** A file name that can wrap after a full stop, a dash, an underscore or a slash, before it is broken inside a word. */
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
