// What is learnt of the examples, and which of them are kept apart for validation.
import type { DatasetLoss, OverLong } from '../../../../main/contract/index.ts';
import { Field, NumberInput, Select } from '../../../components/index.ts';
import style from './new-run.module.css';
import { useRunDraft } from './run-draft.ts';

const losses: { value: DatasetLoss; label: string; hint?: string }[] = [
  { value: 'replies', label: 'all replies' },
  { value: 'last', label: 'the last reply' },
  { value: 'all', label: 'every token', hint: 'prompts, too' },
];
const overLongs: { value: OverLong; label: string }[] = [
  { value: 'cut', label: 'cut' },
  { value: 'leave-out', label: 'left out' },
];

export function DataFields() {
  const { files, loss = 'replies', validation, seed, maxTokens, overLong = 'cut' } = useRunDraft((state) => state.draft.plan.data);
  const changeData = useRunDraft((state) => state.changeData);
  if (files.length === 0) return null;
  return (
    <div className={style.fields}>
      <Field label="Learn of a conversation">
        {(control) => <Select {...control} value={loss} onChange={(value) => changeData({ loss: value })} options={losses} />}
      </Field>
      <Field label="Share for validation" hint="never trained on: 0 to below 1">
        {(control) => (
          <NumberInput
            {...control}
            min={0}
            max={0.9}
            step={0.01}
            placeholder="0.05"
            value={validation}
            onCommit={(value) => changeData({ validation: value })}
          />
        )}
      </Field>
      <Field label="Seed of the split" hint="the same seed keeps the same examples apart">
        {(control) => <NumberInput {...control} integer min={0} placeholder="1" value={seed} onCommit={(value) => changeData({ seed: value })} />}
      </Field>
      <Field label="Most tokens of an example" hint="empty: no limit">
        {(control) => (
          <NumberInput {...control} integer min={2} placeholder="no limit" value={maxTokens} onCommit={(value) => changeData({ maxTokens: value })} />
        )}
      </Field>
      {maxTokens !== undefined && (
        <Field label="Longer ones are">
          {(control) => <Select {...control} value={overLong} onChange={(value) => changeData({ overLong: value })} options={overLongs} />}
        </Field>
      )}
    </div>
  );
}
