/**
 * How a field looks: a label tied to its input, whether it is required, a hint, and what is wrong, in words.
 *
 * JupyterLab's own templates belong to the settings editor and do not tie labels to inputs.
 */
import type {
  ArrayFieldTemplateProps,
  BaseInputTemplateProps,
  FieldTemplateProps,
  ObjectFieldTemplateProps,
  WidgetProps
} from '@rjsf/utils';
import { enumOptionsIndexForValue, enumOptionsValueForIndex } from '@rjsf/utils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { Icon } from '../ui/icons';
import { FieldFrame, SuggestedMark } from './FieldFrame';
import type { Problems } from './problems';
import { isDeclared } from './schema';
import { SecretInputBox } from './SecretInputBox';
import type { SecretInputs } from './secretInputs';

/** What the form passes to its fields besides the data. */
export interface FormContext {
  trans: TranslationBundle;
  problems: Problems;
  secrets: SecretInputs;
  /** The hint for each secret that is stored and may stay; `''` for one that has to be entered. */
  kept: { readonly [field: string]: string };
  /** Whether stored secrets no longer fit, because the destination was changed. */
  isMoved: boolean;
  /** Fields that still hold a value that code suggested. */
  suggested: readonly string[];
  /** Whether no secret can be entered yet, because its destination was suggested and nobody has confirmed it. */
  isLocked: boolean;
  goesToId: string;
  isSecret: (field: string) => boolean;
  requiredSecrets: readonly string[];
  onSecretInput: (field: string) => void;
}

const context = (props: { formContext?: unknown }): FormContext => props.formContext as FormContext;

/** Returns the field's name from the id that the form gave it. */
function fieldOf(id: string): string {
  return id.slice(id.indexOf('_') + 1);
}

function FieldTemplate(props: FieldTemplateProps): JSX.Element {
  const { id, children, label, schema, hidden, required } = props;
  const { trans, problems, isSecret, requiredSecrets, kept, isMoved, suggested, isLocked } = context(props);
  if (hidden) {
    return <div hidden>{children}</div>;
  }
  if (schema.type === 'object') {
    return <>{children}</>;
  }
  const field = fieldOf(id);
  const isSuggested = suggested.includes(field);
  if (schema.type === 'boolean') {
    return (
      <div className="jp-connvault-field">
        {children}
        {isSuggested && <SuggestedMark trans={trans} />}
        {schema.description && (
          <div id={`${id}__help`} className="jp-connvault-hint">
            {schema.description}
          </div>
        )}
      </div>
    );
  }
  const secret = isSecret(field);
  const locked = secret && isLocked ? trans.__('Confirm the destination above first.') : '';
  const promise = isMoved
    ? trans.__('Enter it again for the new destination.')
    : trans.__('Goes straight to the vault and is never shown again.');
  // The problem says what to do; the general description would only distract from it.
  const hint = problems[field] ? '' : locked || (secret ? kept[field] || promise : schema.description);
  return (
    <FieldFrame
      id={id}
      label={schema.title ?? label}
      required={secret ? requiredSecrets.includes(field) : required}
      hint={hint}
      problem={problems[field] && (locked || problems[field])}
      isSuggested={isSuggested}
      trans={trans}
    >
      {children}
    </FieldFrame>
  );
}

function ObjectFieldTemplate(props: ObjectFieldTemplateProps): JSX.Element {
  const { properties, schema } = props;
  const keyword = (name: string, key: string): unknown =>
    (schema.properties?.[name] as { [key: string]: unknown } | undefined)?.[key];
  const lines: (typeof properties)[] = [];
  for (const item of properties) {
    // A rule for a field that is not shown now, such as one for another way to log in.
    if (!isDeclared(schema.properties?.[item.name])) {
      continue;
    }
    const group = keyword(item.name, 'x-group');
    const line = lines[lines.length - 1];
    if (group !== undefined && line && keyword(line[0].name, 'x-group') === group) {
      line.push(item);
    } else {
      lines.push([item]);
    }
  }
  return (
    <div>
      {lines.map(line => (
        <div key={line[0].name} className={line.length > 1 ? 'jp-connvault-two' : undefined}>
          {line.map(item => (
            <div key={item.name} data-narrow={keyword(item.name, 'type') === 'integer' || undefined}>
              {item.content}
            </div>
          ))}
        </div>
      ))}
    </div>
  );
}

function ArrayFieldTemplate(props: ArrayFieldTemplateProps): JSX.Element {
  const { trans } = context(props);
  return (
    <div role="group" aria-label={props.title}>
      {props.items.map(item => (
        <div key={item.key}>
          {item.children}
          <button
            type="button"
            className="jp-connvault-button jp-mod-link"
            aria-label={trans.__('Remove item %1', item.index + 1)}
            onClick={item.onDropIndexClick(item.index)}
          >
            {trans.__('Remove')}
          </button>
        </div>
      ))}
      {props.canAdd && (
        <button type="button" className="jp-connvault-button" onClick={props.onAddClick}>
          {trans.__('Add')}
        </button>
      )}
    </div>
  );
}

function describedBy(id: string): string {
  return `${id}__error ${id}__help`;
}

function BaseInputTemplate(props: BaseInputTemplateProps): JSX.Element {
  const { id, schema, value, placeholder, readonly, disabled, required, onChange } = props;
  const field = fieldOf(id);
  const isNumber = schema.type === 'integer' || schema.type === 'number';
  return (
    <input
      id={id}
      name={field}
      className="jp-connvault-input"
      data-testid={`connvault-field-${field}`}
      // A number input hides what it can't read, and scrolling over it changes the port.
      type="text"
      inputMode={isNumber ? 'numeric' : schema.format === 'uri' ? 'url' : undefined}
      autoComplete="off"
      autoCapitalize="off"
      spellCheck={false}
      placeholder={placeholder}
      readOnly={readonly}
      disabled={disabled}
      aria-required={required || undefined}
      aria-invalid={context(props).problems[field] ? true : undefined}
      aria-describedby={describedBy(id)}
      value={value === undefined || value === null ? '' : String(value)}
      onChange={event => onChange(typed(event.target.value, isNumber))}
    />
  );
}

/** Converts typed text: an emptied field is a missing one, and a number becomes one as soon as it can be read. */
function typed(text: string, isNumber: boolean): string | number | undefined {
  if (text === '') {
    return undefined;
  }
  return isNumber && /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text;
}

function TextareaWidget(props: WidgetProps): JSX.Element {
  const { id, value, placeholder, onChange } = props;
  const field = fieldOf(id);
  return (
    <textarea
      id={id}
      name={field}
      className="jp-connvault-input"
      data-testid={`connvault-field-${field}`}
      rows={3}
      spellCheck={false}
      autoComplete="off"
      placeholder={placeholder}
      aria-invalid={context(props).problems[field] ? true : undefined}
      aria-describedby={describedBy(id)}
      value={value ?? ''}
      onChange={event => onChange(event.target.value || undefined)}
    />
  );
}

function SelectWidget(props: WidgetProps): JSX.Element {
  const { id, options, value, onChange, required, schema } = props;
  const field = fieldOf(id);
  const { trans, problems } = context(props);
  const labels = (schema as { 'x-labels'?: { [value: string]: string } })['x-labels'] ?? {};
  const items = options.enumOptions ?? [];
  const selected = enumOptionsIndexForValue(value, items);
  return (
    <span className="jp-connvault-select">
      <select
        id={id}
        name={field}
        className="jp-connvault-input"
        data-testid={`connvault-field-${field}`}
        aria-invalid={problems[field] ? true : undefined}
        aria-describedby={describedBy(id)}
        value={typeof selected === 'string' ? selected : ''}
        onChange={event => onChange(enumOptionsValueForIndex(event.target.value, items))}
      >
        {(!required || selected === undefined) && schema.default === undefined && (
          <option value="">{trans.__('Not set')}</option>
        )}
        {items.map((item, index) => (
          <option key={String(item.value)} value={String(index)}>
            {labels[String(item.value)] ?? item.label}
          </option>
        ))}
      </select>
      <Icon name="next" className="jp-connvault-chevron" />
    </span>
  );
}

function CheckboxWidget(props: WidgetProps): JSX.Element {
  const { id, value, label, onChange, schema } = props;
  const field = fieldOf(id);
  return (
    <label className="jp-connvault-check">
      <input
        id={id}
        name={field}
        type="checkbox"
        data-testid={`connvault-field-${field}`}
        aria-describedby={describedBy(id)}
        checked={value === true}
        onChange={event => onChange(event.target.checked)}
      />
      <span>{schema.title ?? label}</span>
    </label>
  );
}

/** An input that holds its own value: `onChange` is not called, so the form library never learns what is typed. */
function SecretWidget(props: WidgetProps): JSX.Element {
  const { id, schema } = props;
  const field = fieldOf(id);
  const { secrets, problems, kept, isLocked, goesToId, onSecretInput, trans } = context(props);
  return (
    <SecretInputBox
      id={id}
      field={field}
      multiline={(schema as { 'x-multiline'?: boolean })['x-multiline'] === true}
      secrets={secrets}
      disabled={isLocked}
      describedBy={goesToId}
      invalid={Boolean(problems[field])}
      placeholder={kept[field] ? trans.__('Leave empty to keep it') : ''}
      onInput={() => onSecretInput(field)}
    />
  );
}

export const templates = { FieldTemplate, ObjectFieldTemplate, ArrayFieldTemplate, BaseInputTemplate };

export const widgets = {
  TextWidget: BaseInputTemplate as unknown as (props: WidgetProps) => JSX.Element,
  TextareaWidget,
  SelectWidget,
  CheckboxWidget,
  connvaultSecret: SecretWidget
};
