import { Check } from 'lucide-react';
import { Checkbox as RadixCheckbox, Switch as RadixSwitch } from 'radix-ui';
import type { InputHTMLAttributes, ReactNode, Ref, TextareaHTMLAttributes } from 'react';
import { useEffect, useId, useState } from 'react';
import { classes } from './classes.ts';
import style from './field.module.css';
import { Tooltip } from './tooltip.tsx';

/** What a control inside a Field must spread on its focusable element. */
export interface FieldControl {
  id: string;
  'aria-describedby': string | undefined;
  'aria-invalid': true | undefined;
}

export interface FieldProps {
  label: ReactNode;
  /** what it does, its unit, its default */
  hint?: ReactNode;
  error?: string | null | undefined;
  /** `row`: label left, control right; `compact`: the hint shows on hover of the label */
  layout?: 'column' | 'row' | 'compact';
  /** beside the label: a value, a reset button */
  trailing?: ReactNode;
  children: (control: FieldControl) => ReactNode;
}

export function Field({ label, hint, error, layout = 'column', trailing, children }: FieldProps) {
  const id = useId();
  const describedBy = [hint ? `${id}-hint` : '', error ? `${id}-error` : ''].filter(Boolean).join(' ');
  return (
    <div className={classes(style.field, layout === 'row' && style.row)}>
      <div className={style.head}>
        <FieldLabel id={id} label={label} hint={layout === 'compact' ? hint : undefined} />
        {trailing && <span className={style.trailing}>{trailing}</span>}
        {hint && layout === 'row' && (
          <div className={style.hint} id={`${id}-hint`}>
            {hint}
          </div>
        )}
      </div>
      <div className={style.control}>
        {children({ id, 'aria-describedby': describedBy || undefined, 'aria-invalid': error ? true : undefined })}
        {hint && layout === 'column' && (
          <div className={style.hint} id={`${id}-hint`}>
            {hint}
          </div>
        )}
        {error && (
          <div className={style.error} id={`${id}-error`} role="alert">
            {error}
          </div>
        )}
      </div>
    </div>
  );
}

function FieldLabel({ id, label, hint }: { id: string; label: ReactNode; hint: ReactNode }) {
  const element = (
    <label className={style.label} htmlFor={id}>
      {label}
    </label>
  );
  if (!hint) return element;
  return (
    <>
      <Tooltip content={hint} side="left">
        {element}
      </Tooltip>
      <span className="visually-hidden" id={`${id}-hint`}>
        {hint}
      </span>
    </>
  );
}

type TextInputProps = InputHTMLAttributes<HTMLInputElement> & { mono?: boolean; ref?: Ref<HTMLInputElement> };
export function TextInput({ mono, className, ...rest }: TextInputProps) {
  return <input type="text" spellCheck={false} autoComplete="off" {...rest} className={classes(style.input, mono && style.mono, className)} />;
}

type TextAreaProps = TextareaHTMLAttributes<HTMLTextAreaElement> & { mono?: boolean; ref?: Ref<HTMLTextAreaElement> };
export function TextArea({ mono, className, ...rest }: TextAreaProps) {
  return <textarea rows={4} {...rest} className={classes(style.input, style.area, mono && style.mono, className)} />;
}

export interface NumberInputProps extends Omit<InputHTMLAttributes<HTMLInputElement>, 'value' | 'onChange' | 'min' | 'max'> {
  /** undefined: empty, the default holds */
  value: number | undefined;
  /** called with a number inside [min, max], or undefined for an emptied field, on Enter, arrow keys and blur */
  onCommit: (value: number | undefined) => void;
  min?: number;
  max?: number;
  integer?: boolean;
}

/** Keeps what is typed until it is committed, so that `0.` can be written on the way to `0.5`. */
export function NumberInput({ value, onCommit, min, max, integer, className, ...rest }: NumberInputProps) {
  const [draft, setDraft] = useState(value === undefined ? '' : String(value));
  useEffect(() => setDraft(value === undefined ? '' : String(value)), [value]);
  const commit = () => {
    const parsed = readNumber(draft, min, max, integer);
    setDraft(parsed === undefined ? '' : String(parsed));
    if (parsed !== value) onCommit(parsed);
  };
  return (
    <input
      {...rest}
      type="number"
      inputMode={integer ? 'numeric' : 'decimal'}
      min={min}
      max={max}
      step={rest.step ?? (integer ? 1 : 'any')}
      className={classes(style.input, style.number, className)}
      value={draft}
      onChange={(event) => setDraft(event.target.value)}
      onBlur={commit}
      onKeyDown={(event) => event.key === 'Enter' && commit()}
    />
  );
}

/** The number that was typed, brought into the range; undefined for nothing or nonsense. */
export function readNumber(text: string, min = -Infinity, max = Infinity, integer = false): number | undefined {
  if (text.trim() === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value)) return undefined;
  return Math.min(max, Math.max(min, integer ? Math.round(value) : value));
}

interface ToggleProps {
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
  id?: string;
  'aria-label'?: string;
  'aria-describedby'?: string | undefined;
}

export function Switch({ checked, onChange, ...rest }: ToggleProps) {
  return (
    <RadixSwitch.Root {...rest} className={style.switch} checked={checked} onCheckedChange={onChange}>
      <RadixSwitch.Thumb className={style.thumb} />
    </RadixSwitch.Root>
  );
}

export function Checkbox({ checked, onChange, label, hint, ...rest }: ToggleProps & { label: ReactNode; hint?: ReactNode }) {
  const id = useId();
  return (
    <div className={style.check}>
      <RadixCheckbox.Root {...rest} id={id} className={style.box} checked={checked} onCheckedChange={(value) => onChange(value === true)}>
        <RadixCheckbox.Indicator>
          <Check size={12} aria-hidden strokeWidth={3} />
        </RadixCheckbox.Indicator>
      </RadixCheckbox.Root>
      <label htmlFor={id}>
        {label}
        {hint && <div className={style.hint}>{hint}</div>}
      </label>
    </div>
  );
}
