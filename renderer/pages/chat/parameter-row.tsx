import { RotateCcw } from 'lucide-react';
import { useEffect, useState } from 'react';
import { Field, IconButton, NumberInput, Slider } from '../../components/index.ts';
import type { NumberParameter } from './parameter-table.ts';
import style from './parameters.module.css';

interface ParameterRowProps {
  parameter: NumberParameter;
  /** undefined: the default holds */
  value: number | undefined;
  /** what holds without a choice: the model's default, or llama.cpp's */
  standard: number;
  onChange: (value: number | undefined) => void;
}

/** One number: a slider for the usual range, a field for the exact value, a way back to the default. */
export function ParameterRow({ parameter, value, standard, onChange }: ParameterRowProps) {
  const { label, hint, min, max, step, hardMin = min, hardMax = max } = parameter;
  const integer = Number.isInteger(step);
  const [moving, setMoving] = useState<number | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what the core stored ends the movement
  useEffect(() => setMoving(null), [value]);
  const shown = moving ?? value ?? standard;
  const reset = value !== undefined && <IconButton label={`Reset ${label} to ${standard}`} icon={RotateCcw} size="small" onClick={() => onChange(undefined)} />;
  return (
    <Field label={label} hint={hint} layout="compact" trailing={reset || undefined}>
      {(control) => (
        <div className={style.number}>
          <Slider
            aria-label={`${label}, slider`}
            min={min}
            max={max}
            step={step}
            value={shown}
            muted={value === undefined && moving === null}
            onInput={setMoving}
            onCommit={onChange}
          />
          <NumberInput
            {...control}
            className={style.figure}
            value={moving ?? value}
            placeholder={String(standard)}
            min={hardMin}
            max={hardMax}
            step={step}
            integer={integer}
            onCommit={onChange}
          />
        </div>
      )}
    </Field>
  );
}
