/**
 * The input of one secret. What is typed is only in its DOM node, never in React state.
 */
import { Icon } from '../ui/icons';
import type { SecretInputs } from './secretInputs';

interface SecretInputBoxProps {
  id: string;
  field: string;
  multiline?: boolean;
  secrets: SecretInputs;
  invalid?: boolean;
  placeholder?: string;
  disabled?: boolean;
  /** Id of another element that describes it. */
  describedBy?: string;
  autoFocus?: boolean;
  onInput?: () => void;
}

/** An input that holds its own value; `secrets` can read it when it is about to be sent. */
export function SecretInputBox(props: SecretInputBoxProps): JSX.Element {
  const { id, field, secrets } = props;
  const shared = {
    id,
    name: field,
    className: 'jp-connvault-input',
    'data-testid': `connvault-field-${field}`,
    spellCheck: false,
    placeholder: props.placeholder,
    autoFocus: props.autoFocus,
    disabled: props.disabled,
    'aria-invalid': props.invalid ? true : undefined,
    'aria-describedby': [`${id}__error ${id}__help`, props.describedBy].filter(Boolean).join(' '),
    onInput: props.onInput
  };
  return (
    <span className="jp-connvault-secret">
      <Icon name="lock" />
      {props.multiline ? (
        <textarea {...shared} rows={4} autoComplete="off" ref={input => secrets.register(field, input)} />
      ) : (
        // "new-password": this password is another service's, so the browser must not fill in the one for this site.
        <input {...shared} type="password" autoComplete="new-password" ref={input => secrets.register(field, input)} />
      )}
    </span>
  );
}
