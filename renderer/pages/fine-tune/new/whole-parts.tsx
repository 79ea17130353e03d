// Parts whose own weights are trained, which costs more than an adapter and ties what is learnt to a merged model.
import type { Inspection } from '../../../../main/contract/index.ts';
import { Checkbox } from '../../../components/index.ts';
import { type WholePart, wholeHint, wholeParts, whyNotWhole } from './adapter-parts.ts';
import style from './recipe.module.css';
import { useRunDraft } from './run-draft.ts';

export function WholeParts({ inspection }: { inspection: Inspection | null }) {
  const adapter = useRunDraft((state) => state.draft.plan.adapter);
  const changePlan = useRunDraft((state) => state.changePlan);
  const change = (part: WholePart) => (on: boolean) => changePlan({ adapter: { ...adapter, [part]: on || undefined } });
  return (
    <>
      <p className={style.reason}>Their own weights instead of an adapter: only a merged export holds them. What they cost is in the estimate below.</p>
      {wholeParts.map(({ part, label }) => {
        const reason = inspection && whyNotWhole(part, inspection);
        const checked = adapter[part] ?? false;
        return (
          <div key={part} className={reason === null ? undefined : style.impossible}>
            {/* what the model before had and this one has not can still be taken out */}
            <Checkbox
              label={label}
              hint={reason ?? wholeHint(part, inspection)}
              checked={checked}
              disabled={reason !== null && !checked}
              onChange={change(part)}
            />
          </div>
        );
      })}
    </>
  );
}
