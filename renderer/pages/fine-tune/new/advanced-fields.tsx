// Everything else that a run can be told, folded away.
import type { DatasetReport, Inspection, Recipe } from '../../../../main/contract/index.ts';
import { Checkbox, Field, Select } from '../../../components/index.ts';
import { ActivationFields, DeviceFields } from './device-fields.tsx';
import type { DraftErrors } from './draft-errors.ts';
import { Figure } from './figure.tsx';
import { PreferenceFields } from './preference-fields.tsx';
import style from './recipe.module.css';
import { RouterFields } from './router-fields.tsx';
import { MIXTURE_BALANCE, useRunDraft } from './run-draft.ts';
import { WholeParts } from './whole-parts.tsx';

const kinds: { value: NonNullable<NonNullable<Recipe['optimiser']>['kind']>; label: string; hint?: string }[] = [
  { value: 'adamw', label: 'AdamW' },
  { value: 'adamw-8bit', label: 'AdamW, 8-bit states', hint: 'a quarter of the memory' },
  { value: 'sgd', label: 'SGD', hint: 'no momentum unless asked' },
];
const weightings: { value: NonNullable<Recipe['weighting']>; label: string }[] = [
  { value: 'tokens', label: 'every token' },
  { value: 'sequences', label: 'every example' },
];

interface AdvancedFieldsProps {
  report: DatasetReport | null;
  inspection: Inspection | null;
  errors: DraftErrors;
}

export function AdvancedFields({ report, inspection, errors }: AdvancedFieldsProps) {
  return (
    <details className={style.advanced}>
      <summary>Advanced</summary>
      <div className={style.groups}>
        <Group title="Trained whole" wide>
          <WholeParts inspection={inspection} />
        </Group>
        <Group title="Optimiser">
          <OptimiserFields />
        </Group>
        <Group title="Batches and gradients">
          <BatchFields />
          <ActivationFields />
        </Group>
        <Group title="Router losses and schedule">
          <LossFields />
          <ScheduleEnds />
        </Group>
        <Group title="Routers">
          <RouterFields inspection={inspection} error={errors.drawn} />
        </Group>
        <Group title="Preferences (DPO)">
          <PreferenceFields report={report} />
        </Group>
        <Group title="Where experts are computed">
          <DeviceFields inspection={inspection} error={errors.devices} />
        </Group>
        <Group title="Looks and checkpoints">
          <CheckpointFields hasValidation={report?.split.validation !== 0} />
        </Group>
      </div>
    </details>
  );
}

function Group({ title, wide, children }: { title: string; wide?: boolean; children: React.ReactNode }) {
  return (
    <fieldset className={wide ? style.wideGroup : style.group}>
      <legend>{title}</legend>
      {children}
    </fieldset>
  );
}

function OptimiserFields() {
  const optimiser = useRunDraft((state) => state.draft.plan.optimiser) ?? {};
  const changePlan = useRunDraft((state) => state.changePlan);
  const change = (next: Partial<typeof optimiser>) => changePlan({ optimiser: { ...optimiser, ...next } });
  const { kind = 'adamw', weightDecay, momentum, beta1, beta2, bRateFactor } = optimiser;
  return (
    <>
      <Field label="Kind">{(control) => <Select {...control} value={kind} onChange={(value) => change({ kind: value })} options={kinds} />}</Field>
      <Figure label="Weight decay" usual="0" min={0} max={1} value={weightDecay} onCommit={(value) => change({ weightDecay: value })} />
      {kind === 'sgd' ? (
        <Figure label="Momentum" usual="0" min={0} max={1} value={momentum} onCommit={(value) => change({ momentum: value })} />
      ) : (
        <>
          <Figure label="Beta 1" usual="0.9" min={0} max={1} value={beta1} onCommit={(value) => change({ beta1: value })} />
          <Figure label="Beta 2" usual="0.999" min={0} max={1} value={beta2} onCommit={(value) => change({ beta2: value })} />
        </>
      )}
      <Figure
        label="LoRA+ factor"
        hint="rate of each adapter’s b"
        usual="1"
        min={1e-6}
        max={1e6}
        value={bRateFactor}
        onCommit={(value) => change({ bRateFactor: value })}
      />
    </>
  );
}

function BatchFields() {
  const { batchesPerStep, clip, optimiser, seed, threads, weighting = 'tokens' } = useRunDraft((state) => state.draft.plan);
  const change = useRunDraft((state) => state.changePlan);
  return (
    <>
      <Figure
        label="Batches of a step"
        hint="gradients are added up"
        usual="1"
        integer
        min={1}
        max={65_536}
        value={batchesPerStep}
        onCommit={(value) => change({ batchesPerStep: value })}
      />
      <Figure
        label="Clip gradients at"
        hint="largest norm; 0: any"
        usual={optimiser?.kind === 'sgd' ? '0' : '1'}
        min={0}
        value={clip}
        onCommit={(value) => change({ clip: value })}
      />
      <Field label="Counts the same">
        {(control) => <Select {...control} value={weighting} onChange={(value) => change({ weighting: value })} options={weightings} />}
      </Field>
      <Figure label="Seed" hint="of order and new adapters" usual="1" integer min={0} value={seed} onCommit={(value) => change({ seed: value })} />
      <Figure label="CPU threads" usual="all" integer min={1} max={512} value={threads} onCommit={(value) => change({ threads: value })} />
    </>
  );
}

function LossFields() {
  const losses = useRunDraft((state) => state.draft.plan.routerLosses) ?? {};
  const isMixture = useRunDraft((state) => state.draft.plan.adapter.mixture !== undefined);
  const changePlan = useRunDraft((state) => state.changePlan);
  const change = (next: typeof losses) => changePlan({ routerLosses: { ...losses, ...next } });
  return (
    <>
      <Figure
        label="Load balance loss"
        hint="factor"
        usual={isMixture ? String(MIXTURE_BALANCE) : '0'}
        min={0}
        max={1000}
        value={losses.balance}
        onCommit={(balance) => change({ balance })}
      />
      <Figure label="Router z-loss" hint="factor" usual="0" min={0} max={1000} value={losses.z} onCommit={(z) => change({ z })} />
    </>
  );
}

function ScheduleEnds() {
  const schedule = useRunDraft((state) => state.draft.plan.schedule);
  const changePlan = useRunDraft((state) => state.changePlan);
  const change = (next: Partial<typeof schedule>) => changePlan({ schedule: { ...schedule, ...next } });
  const { kind = 'constant', finalFraction, powerA, powerB } = schedule;
  return (
    <>
      {kind !== 'constant' && (
        <Figure
          label="Last rate"
          hint="share of the highest"
          usual="0"
          min={0}
          max={1}
          value={finalFraction}
          onCommit={(value) => change({ finalFraction: value })}
        />
      )}
      {kind === 'power' && (
        <>
          <Figure label="Power law’s a" usual="4" min={0} value={powerA} onCommit={(value) => change({ powerA: value })} />
          <Figure label="Power law’s b" usual="-0.51" min={-10} max={0} value={powerB} onCommit={(value) => change({ powerB: value })} />
        </>
      )}
    </>
  );
}

function CheckpointFields({ hasValidation }: { hasValidation: boolean }) {
  const { validateEvery, saveEvery, keep, saveFirst = false } = useRunDraft((state) => state.draft.plan);
  const change = useRunDraft((state) => state.changePlan);
  return (
    <>
      <Figure
        label="Validate every"
        hint={hasValidation ? 'steps; 0: only at the end' : 'the split leaves no example for it'}
        usual="0"
        integer
        min={0}
        value={validateEvery}
        onCommit={(value) => change({ validateEvery: value })}
      />
      <Figure
        label="Checkpoint every"
        hint="steps; 0: only at the end"
        usual="0"
        integer
        min={0}
        value={saveEvery}
        onCommit={(value) => change({ saveEvery: value })}
      />
      <Figure label="Checkpoints kept" hint="the newest ones" usual="3" integer min={1} value={keep} onCommit={(value) => change({ keep: value })} />
      <Checkbox label="One before the first step" hint="it is never removed" checked={saveFirst} onChange={(on) => change({ saveFirst: on || undefined })} />
    </>
  );
}
