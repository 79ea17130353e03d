// What routers learn of their choice, and how many experts a token uses while it is trained.
import type { Inspection, Recipe } from '../../../../main/contract/index.ts';
import { Checkbox, Field, Select } from '../../../components/index.ts';
import { Figure } from './figure.tsx';
import style from './recipe.module.css';
import { MIXTURE_USED, useRunDraft } from './run-draft.ts';

type RouterGradient = NonNullable<Recipe['routerGradient']>;

const kinds: { value: NonNullable<RouterGradient['kind']>; label: string; hint: string }[] = [
  { value: 'straight-through', label: 'chosen ones', hint: 'straight-through: the weights of those that were chosen' },
  { value: 'sparse-mixer', label: 'other draws', hint: 'SparseMixer: experts are drawn, other draws’ losses estimated' },
  { value: 'default-moe', label: 'all experts', hint: 'Default-MoE: running averages stand in for the others' },
];

export function RouterFields({ inspection, error }: { inspection: Inspection | null; error: string | undefined }) {
  const { adapter, routerGradient = {} } = useRunDraft((state) => state.draft.plan);
  const changePlan = useRunDraft((state) => state.changePlan);
  const change = (next: RouterGradient) => changePlan({ routerGradient: { ...routerGradient, ...next } });
  if (inspection?.moeLayers.length === 0 && !adapter.mixture) return <p className={style.reason}>This model has no routers.</p>;
  const { kind = 'straight-through', reach, beta } = routerGradient;
  return (
    <>
      <Field label="Routers learn" hint={kinds.find(({ value }) => value === kind)?.hint}>
        {(control) => <Select {...control} value={kind} onChange={(value) => change({ kind: value })} options={kinds} />}
      </Field>
      {kind === 'sparse-mixer' && (
        <Figure
          label="Reach of draws"
          hint="0: the best only; 1: all"
          usual="0.01"
          min={0}
          max={1}
          value={reach}
          onCommit={(value) => change({ reach: value })}
        />
      )}
      {kind === 'default-moe' && (
        <Figure label="Averages keep" hint="share, of each step" usual="0.9" min={0} max={0.9999} value={beta} onCommit={(value) => change({ beta: value })} />
      )}
      <DrawnNumber usual={inspection?.expertUsedCount || MIXTURE_USED} />
      {error && (
        <p className={style.error} role="alert">
          {error}
        </p>
      )}
    </>
  );
}

/** usual: experts of a token */
function DrawnNumber({ usual }: { usual: number }) {
  const drawn = useRunDraft((state) => state.draft.plan.expertUsedCount);
  const changePlan = useRunDraft((state) => state.changePlan);
  const change = (next: Partial<NonNullable<typeof drawn>>) => drawn && changePlan({ expertUsedCount: { ...drawn, ...next } });
  return (
    <>
      <Checkbox
        label="Draw how many experts a token uses"
        hint="Matryoshka: the model then works with fewer or more"
        checked={drawn !== undefined}
        onChange={(on) => changePlan({ expertUsedCount: on ? { min: 1, max: usual } : undefined })}
      />
      {drawn && (
        <>
          <Figure label="At least" usual="1" integer min={1} max={1024} value={drawn.min} onCommit={(min) => change({ min: min ?? 1 })} />
          <Figure label="At most" usual={String(usual)} integer min={1} max={1024} value={drawn.max} onCommit={(max) => change({ max: max ?? usual })} />
          <Checkbox
            label="Validate with each number"
            hint="each costs another validation"
            checked={drawn.validateEach ?? false}
            onChange={(validateEach) => change({ validateEach })}
          />
        </>
      )}
    </>
  );
}
