import { Slider as Radix } from 'radix-ui';
import { useEffect, useState } from 'react';
import { classes } from './classes.ts';
import style from './slider.module.css';

export interface SliderProps {
  value: number;
  /** while it moves */
  onInput?: (value: number) => void;
  /** when it comes to rest */
  onCommit: (value: number) => void;
  min: number;
  max: number;
  step: number;
  /** drawn quietly: the value is the default, not a choice */
  muted?: boolean;
  disabled?: boolean;
  'aria-label': string;
  'aria-describedby'?: string | undefined;
  'aria-valuetext'?: string;
}

export function Slider({ value, onInput, onCommit, muted, disabled, 'aria-label': label, 'aria-describedby': describedBy, ...rest }: SliderProps) {
  const [draft, setDraft] = useState(value);
  useEffect(() => setDraft(value), [value]);
  const { 'aria-valuetext': valueText, ...range } = rest;
  return (
    <Radix.Root
      {...range}
      className={classes(style.root, muted && style.muted)}
      disabled={disabled ?? false}
      value={[Math.min(range.max, Math.max(range.min, draft))]}
      onValueChange={([next]) => {
        if (next === undefined) return;
        setDraft(next);
        onInput?.(next);
      }}
      onValueCommit={([next]) => next !== undefined && onCommit(next)}
    >
      <Radix.Track className={style.track}>
        <Radix.Range className={style.range} />
      </Radix.Track>
      <Radix.Thumb className={style.thumb} aria-label={label} aria-describedby={describedBy} aria-valuetext={valueText} />
    </Radix.Root>
  );
}
