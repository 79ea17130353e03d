// How many LoRA experts a mixture has, and how many of them a token uses.
import type { Recipe } from '../../../../main/contract/index.ts';
import { Field, NumberInput } from '../../../components/index.ts';
import style from './recipe.module.css';
import { MIXTURE_EXPERTS, MIXTURE_USED, useRunDraft } from './run-draft.ts';

type Mixture = NonNullable<Recipe['adapter']['mixture']>;

export function MixtureFields({ mixture }: { mixture: Mixture }) {
  const change = (next: Partial<Mixture>) => {
    const { draft, changePlan } = useRunDraft.getState();
    changePlan({ adapter: { ...draft.plan.adapter, mixture: { ...mixture, ...next } } });
  };
  return (
    <div className={style.mixture}>
      <Field label="Experts of the mixture" hint="of every layer">
        {(control) => (
          <NumberInput
            {...control}
            integer
            min={2}
            max={256}
            placeholder={String(MIXTURE_EXPERTS)}
            value={mixture.expertCount}
            onCommit={(expertCount) => change({ expertCount })}
          />
        )}
      </Field>
      <Field label="Experts of a token" hint="the router chooses them">
        {(control) => (
          <NumberInput
            {...control}
            integer
            min={1}
            max={256}
            placeholder={String(MIXTURE_USED)}
            value={mixture.expertUsedCount}
            onCommit={(expertUsedCount) => change({ expertUsedCount })}
          />
        )}
      </Field>
    </div>
  );
}
