// Which experts get an adapter: all of them, or those that the data uses most (ESFT).
import type { Recipe } from '../../../../main/contract/index.ts';
import { Field, Select } from '../../../components/index.ts';
import { Figure } from './figure.tsx';
import style from './recipe.module.css';
import { useRunDraft } from './run-draft.ts';

type Experts = NonNullable<Recipe['adapter']['experts']>;
type Choice = 'all' | 'gate' | 'tokens' | 'named';

const choices: { value: Choice; label: string; hint: string }[] = [
  { value: 'all', label: 'all', hint: 'every expert of every layer' },
  { value: 'gate', label: 'most weight', hint: 'those that the router gives most weight on the data' },
  { value: 'tokens', label: 'most tokens', hint: 'those that most tokens of the data go to' },
];
const named = { value: 'named' as const, label: 'named', hint: 'those that the run before named' };

export function ChosenFields({ experts }: { experts: Experts }) {
  const { chosen, ...lora } = experts;
  const change = (next: Experts['chosen']) => {
    const { draft, changePlan } = useRunDraft.getState();
    changePlan({ adapter: { ...draft.plan.adapter, experts: next ? { ...lora, chosen: next } : lora } });
  };
  const choice: Choice = chosen === undefined ? 'all' : 'method' in chosen ? chosen.method : 'named';
  const options = choice === 'named' ? [...choices, named] : choices;
  return (
    <div className={style.mixture}>
      <Field label="Experts adapted" hint={options.find(({ value }) => value === choice)?.hint}>
        {(control) => (
          <Select
            {...control}
            value={choice}
            options={options}
            onChange={(value) => value !== 'named' && change(value === 'all' ? undefined : { ...(chosen && 'method' in chosen && chosen), method: value })}
          />
        )}
      </Field>
      {chosen && 'method' in chosen && (
        <>
          <Figure
            label="Share of a layer"
            hint="as many experts as reach it"
            usual="0.2"
            min={1e-6}
            max={1}
            value={chosen.topP}
            onCommit={(topP) => change({ ...chosen, topP })}
          />
          <Figure
            label="Tokens looked at"
            hint="of the data, before training"
            usual="16384"
            integer
            min={1}
            max={1e9}
            value={chosen.sampleTokens}
            onCommit={(sampleTokens) => change({ ...chosen, sampleTokens })}
          />
        </>
      )}
    </div>
  );
}
