import { Check, ChevronDown } from 'lucide-react';
import { Select as Radix } from 'radix-ui';
import { classes } from './classes.ts';
import style from './select.module.css';

export interface Option<Value extends string> {
  value: Value;
  label: string;
  hint?: string;
  disabled?: boolean;
}

export interface SelectProps<Value extends string> {
  value: Value | undefined;
  onChange: (value: Value) => void;
  options: readonly Option<Value>[];
  placeholder?: string;
  disabled?: boolean;
  id?: string;
  'aria-label'?: string;
  'aria-describedby'?: string | undefined;
  className?: string | undefined;
}

/** One of a few. Option values may not be empty strings. */
export function Select<Value extends string>(props: SelectProps<Value>) {
  const { value, onChange, options, placeholder, disabled, className, ...rest } = props;
  // Radix gives back one of the values it was given, which are the options' values.
  const change = (next: string) => onChange(next as Value);
  return (
    <Radix.Root value={value ?? ''} onValueChange={change} disabled={disabled ?? false}>
      <Radix.Trigger {...rest} className={classes(style.trigger, className)}>
        <span className={style.value}>
          <Radix.Value placeholder={placeholder ?? 'Choose'} />
        </span>
        <Radix.Icon className={style.chevron}>
          <ChevronDown size={14} aria-hidden />
        </Radix.Icon>
      </Radix.Trigger>
      <Radix.Portal>
        <Radix.Content className={style.content} position="popper" sideOffset={4} collisionPadding={8}>
          <Radix.Viewport>
            {options.map((option) => (
              <Radix.Item key={option.value} value={option.value} disabled={option.disabled ?? false} className={style.item}>
                <span className={style.mark}>
                  <Radix.ItemIndicator>
                    <Check size={13} aria-hidden />
                  </Radix.ItemIndicator>
                </span>
                <Radix.ItemText>{option.label}</Radix.ItemText>
                {option.hint && <span className={style.hint}>{option.hint}</span>}
              </Radix.Item>
            ))}
          </Radix.Viewport>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
