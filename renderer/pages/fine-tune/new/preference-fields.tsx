// What is learnt of preference pairs (DPO), whose answers are better or worse.
import type { DatasetReport, Recipe } from '../../../../main/contract/index.ts';
import { Figure } from './figure.tsx';
import style from './recipe.module.css';
import { learnsPreferences, useRunDraft } from './run-draft.ts';

export function PreferenceFields({ report }: { report: DatasetReport | null }) {
  const dpo = useRunDraft((state) => state.draft.plan.dpo) ?? {};
  const changePlan = useRunDraft((state) => state.changePlan);
  const change = (next: NonNullable<Recipe['dpo']>) => changePlan({ dpo: { ...dpo, ...next } });
  if (report === null || learnsPreferences(report) !== 'yes') {
    return (
      <p className={style.reason}>
        {report === null ? 'Settings of data that is preference pairs.' : 'The data has no preference pairs: what comes next is learnt.'}
      </p>
    );
  }
  return (
    <>
      <Figure label="Beta" hint="less goes further from the base" usual="0.1" min={1e-4} max={100} value={dpo.beta} onCommit={(beta) => change({ beta })} />
      <Figure
        label="Wrong pairs"
        hint="share that is thought to be the wrong way round"
        usual="0"
        min={0}
        max={0.49}
        value={dpo.labelSmoothing}
        onCommit={(labelSmoothing) => change({ labelSmoothing })}
      />
      <Figure
        label="Chosen answer’s loss"
        hint="factor; keeps it likely"
        usual="0"
        min={0}
        max={1000}
        value={dpo.sftWeight}
        onCommit={(sftWeight) => change({ sftWeight })}
      />
    </>
  );
}
