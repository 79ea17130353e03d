// Memory for experts: one slider for the RAM that they are kept in, and one for each GPU's copies. The engine decides what is not chosen.
import type { ReactNode } from 'react';
import type { Device, Estimate, LoadOptions } from '../../../main/contract/index.ts';
import { Checkbox, Field, format, Slider } from '../../components/index.ts';
import { asExpertDevices, BUDGET_STEPS, type Budget, bytesAt, deviceBudgets, ramBudget, stepOf, withDeviceBudget } from './budgets.ts';
import style from './models.module.css';

interface BudgetSlidersProps {
  options: LoadOptions;
  estimate: Estimate | null;
  devices: readonly Device[];
  onChange: (options: LoadOptions) => void;
}

export function BudgetSliders({ options, estimate, devices, onChange }: BudgetSlidersProps) {
  const ram = estimate && ramBudget(options, estimate);
  if (!ram) return null;
  const gpus = deviceBudgets(options, estimate, devices);
  const whole = !options.expertRamBytes && !estimate.options.expertRamBytes;
  const ramIsAutomatic = !options.expertRamBytes;
  const gpusAreAutomatic = options.expertDevices === undefined;
  const setRam = (expertRamBytes: number | undefined) => onChange({ ...options, expertRamBytes });
  return (
    <>
      <BudgetSlider
        budget={ram}
        name="RAM for experts"
        label="Experts in RAM"
        hint={whole ? 'All of them, loaded like the other weights.' : 'Those without room are read from disk when a token needs them.'}
        automatic={ramIsAutomatic}
        onMove={setRam}
        beside={
          <Checkbox aria-label="Experts in RAM: automatic" label="automatic" checked={ramIsAutomatic} onChange={(on) => setRam(on ? undefined : ram.bytes)} />
        }
      />
      {gpus.length > 0 && (
        <fieldset className={style.budgets}>
          <legend className="visually-hidden">Copies of experts on GPUs</legend>
          <div className={style.budgetsHead}>
            <span aria-hidden>Copies of experts on GPUs</span>
            <Checkbox
              aria-label="Copies of experts on GPUs: automatic"
              label="automatic"
              checked={gpusAreAutomatic}
              onChange={(on) => onChange({ ...options, expertDevices: on ? undefined : asExpertDevices(gpus) })}
            />
          </div>
          {gpus.map((budget) => (
            <BudgetSlider
              key={budget.id}
              budget={budget}
              name={`Experts on ${budget.id}`}
              label={budget.id}
              automatic={gpusAreAutomatic}
              onMove={(bytes) => onChange(withDeviceBudget(options, gpus, budget.id, bytes))}
            />
          ))}
        </fieldset>
      )}
    </>
  );
}

interface BudgetSliderProps {
  budget: Budget;
  /** accessible: says all without the group's title */
  name: string;
  label: string;
  hint?: string;
  automatic: boolean;
  onMove: (bytes: number) => void;
  beside?: ReactNode;
}

function BudgetSlider({ budget, name, label, hint, automatic, onMove, beside }: BudgetSliderProps) {
  const text = `${format.bytes(budget.bytes)} of ${format.bytes(budget.most)}`;
  return (
    <Field
      label={label}
      hint={hint}
      trailing={
        <span className={style.budgetText}>
          {beside}
          <span title={`${format.exact(budget.bytes)} of ${format.exact(budget.most)} bytes`}>{text}</span>
        </span>
      }
    >
      {(control) => (
        <Slider
          aria-label={name}
          aria-describedby={control['aria-describedby']}
          aria-valuetext={automatic ? `${text}, automatic` : text}
          value={stepOf(budget)}
          min={0}
          max={BUDGET_STEPS}
          step={1}
          muted={automatic}
          disabled={budget.most <= budget.least}
          onInput={(step) => onMove(bytesAt(budget, step))}
          onCommit={(step) => onMove(bytesAt(budget, step))}
        />
      )}
    </Field>
  );
}
