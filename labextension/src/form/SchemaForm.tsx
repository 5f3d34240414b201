/**
 * The fields of one provider, drawn by JupyterLab's form component from the provider's schema.
 *
 * This module brings in the validator (the heavy part) and is loaded when the first form is opened.
 */
import { FormComponent } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { RJSFSchema, UiSchema } from '@rjsf/utils';
import { getDefaultFormState } from '@rjsf/utils';
import { customizeValidator } from '@rjsf/validator-ajv8';
import Ajv2020 from 'ajv/dist/2020';
import type { MutableRefObject } from 'react';
import { useEffect, useMemo } from 'react';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { FieldValue, ProviderDefinition } from '../contracts';
import type { Problems } from './problems';
import { ownMessage, problemsOf } from './problems';
import { formSchema, requiredSecrets } from './schema';
import type { SecretInputs } from './secretInputs';
import type { FormContext } from './templates';
import { templates, widgets } from './templates';

// The default validator does not support 2020-12 schemas, and ignores what it does not know.
const validator = customizeValidator<ReadonlyJSONObject>({ AjvClass: Ajv2020 });

export type FormData = { [name: string]: FieldValue | undefined };

/** What the form is asked for when it is about to be sent. */
export interface FormChecker {
  /** Returns the problems of the data. A draft may lack its secrets, which are checked in their inputs. */
  check(data: FormData, options: { isDraft: boolean }): Problems;
  /** Returns the fields that have a value, without the secrets, as they are sent. */
  fields(data: FormData): { [name: string]: FieldValue };
}

interface SchemaFormProps {
  provider: ProviderDefinition;
  idPrefix: string;
  data: FormData;
  problems: Problems;
  secrets: SecretInputs;
  /** Returns the hint for a secret that is stored and may stay; `''` if one has to be entered. */
  storedSecret: (field: string) => string;
  /** Fields that still hold a value that code suggested. */
  suggested: readonly string[];
  /** Whether the person has not yet confirmed a suggested destination of a secret. */
  isLocked: boolean;
  /** Id of the line that says where a secret goes. */
  goesToId: string;
  /** Whether stored secrets no longer fit, because the destination was changed. */
  isMoved: boolean;
  checker: MutableRefObject<FormChecker | null>;
  trans: TranslationBundle;
  onChange: (data: FormData) => void;
  onSecretInput: (field: string) => void;
}

export function SchemaForm(props: SchemaFormProps): JSX.Element {
  const { provider, data, secrets, storedSecret, checker, trans, problems, onSecretInput } = props;
  const made = useMemo(() => formSchema(provider), [provider]);
  const holds = (schema: unknown, value: { [name: string]: unknown }): boolean =>
    validator.isValid(schema as RJSFSchema, value as ReadonlyJSONObject, made.schema);
  const needed = requiredSecrets(provider, data, holds);

  useEffect(() => {
    checker.current = {
      check: (value, { isDraft }) => {
        const { errors } = validator.validateFormData(value as ReadonlyJSONObject, made.schema);
        const found = problemsOf(errors, made.schema, trans);
        for (const field of isDraft ? [] : requiredSecrets(provider, value, holds)) {
          if (!storedSecret(field) && !secrets.isFilled(field)) {
            found[field] = ownMessage(provider.fields, field, 'required') || trans.__('Enter it to test the connection.');
          }
        }
        return found;
      },
      fields: value => {
        const known = Object.entries(value).filter(
          ([name, item]) => item !== undefined && !made.secrets.includes(name)
        );
        return Object.fromEntries(known) as { [name: string]: FieldValue };
      }
    };
    return () => {
      checker.current = null;
    };
  });

  const formContext: FormContext = {
    trans,
    problems,
    secrets,
    // Values rather than a function: the form library redraws a field only if it can see a difference.
    kept: Object.fromEntries(made.secrets.map(field => [field, storedSecret(field)])),
    isMoved: props.isMoved,
    suggested: props.suggested,
    isLocked: props.isLocked,
    goesToId: props.goesToId,
    isSecret: field => made.secrets.includes(field),
    requiredSecrets: needed,
    onSecretInput
  };

  return (
    <FormComponent
      tagName="div"
      className="jp-connvault-schemaForm"
      idPrefix={props.idPrefix}
      schema={made.drawn}
      uiSchema={made.uiSchema as UiSchema<ReadonlyJSONObject>}
      formData={data as ReadonlyJSONObject}
      formContext={formContext}
      validator={validator}
      templates={templates}
      widgets={widgets}
      noValidate
      showErrorList={false}
      onChange={event => props.onChange({ ...event.formData } as FormData)}
    >
      <></>
    </FormComponent>
  );
}

/** Returns the data that a new form starts with: the schema's defaults, overridden by `given`. */
export function startingData(provider: ProviderDefinition, given: FormData): FormData {
  const { drawn } = formSchema(provider);
  return { ...(getDefaultFormState(validator, drawn, given as ReadonlyJSONObject, drawn) as FormData) };
}
