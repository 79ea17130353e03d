import { Field, NumberInput } from '../../../components/index.ts';

interface FigureProps {
  label: string;
  hint?: string;
  value: number | undefined;
  usual: string;
  min: number;
  max?: number;
  integer?: boolean;
  onCommit: (value: number | undefined) => void;
}

/** A number whose default is shown while it is empty. */
export function Figure({ label, hint, usual, ...input }: FigureProps) {
  return (
    <Field label={label} hint={hint}>
      {(control) => <NumberInput {...control} {...input} placeholder={usual} />}
    </Field>
  );
}
