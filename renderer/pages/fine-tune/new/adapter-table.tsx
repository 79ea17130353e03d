// Which parts of the model get an adapter, and how large.
import type { Inspection } from '../../../../main/contract/index.ts';
import { Checkbox, NumberInput } from '../../../components/index.ts';
import { adapterParts, type Lora, type Part, usualLora, whyNot } from './adapter-parts.ts';
import { ChosenFields } from './chosen-fields.tsx';
import { MixtureFields } from './mixture-fields.tsx';
import style from './recipe.module.css';
import { useRunDraft } from './run-draft.ts';

export function AdapterTable({ inspection, error }: { inspection: Inspection | null; error: string | undefined }) {
  const adapter = useRunDraft((state) => state.draft.plan.adapter);
  return (
    <div>
      <div className={style.scroll}>
        <table className={style.adapters}>
          <caption>What is trained</caption>
          <thead>
            <tr>
              <th scope="col">Adapter on</th>
              <th scope="col">Rank</th>
              <th scope="col">Alpha</th>
              <th scope="col">Dropout</th>
              <th scope="col">rsLoRA</th>
            </tr>
          </thead>
          <tbody>
            {adapterParts.map((row) => (
              <AdapterRow key={row.part} {...row} lora={adapter[row.part]} reason={inspection && whyNot(row.part, inspection)} />
            ))}
          </tbody>
        </table>
      </div>
      {adapter.experts && (inspection === null || whyNot('experts', inspection) === null) && <ChosenFields experts={adapter.experts} />}
      {adapter.mixture && <MixtureFields mixture={adapter.mixture} />}
      {error && (
        <p className={style.error} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

interface AdapterRowProps {
  part: Part;
  label: string;
  hint: string;
  lora: Lora | undefined;
  /** why this model does not have it */
  reason: string | null;
}

function AdapterRow({ part, label, hint, lora, reason }: AdapterRowProps) {
  const change = (next: Lora | undefined) => {
    const { draft, changePlan } = useRunDraft.getState();
    const { [part]: _, ...others } = draft.plan.adapter;
    changePlan({ adapter: next ? { ...others, [part]: next } : others });
  };
  const usual = usualLora(part);
  const off = !lora || reason !== null;
  return (
    <tr className={reason === null ? undefined : style.impossible}>
      <th scope="row">
        {/* what the model before had and this one has not can still be taken out */}
        <Checkbox
          label={label}
          hint={reason ?? hint}
          checked={lora !== undefined}
          disabled={reason !== null && lora === undefined}
          onChange={(on) => change(on ? usual : undefined)}
        />
      </th>
      <td>
        <NumberInput
          aria-label={`Rank on ${label}`}
          integer
          min={1}
          max={4096}
          disabled={off}
          value={lora?.loraRank}
          onCommit={(loraRank) => lora && change({ ...lora, loraRank: loraRank ?? usual.loraRank })}
        />
      </td>
      <td>
        <NumberInput
          aria-label={`Alpha on ${label}`}
          min={0.001}
          max={1e6}
          disabled={off}
          placeholder={lora ? String(2 * lora.loraRank) : ''}
          value={lora?.loraAlpha}
          onCommit={(loraAlpha) => lora && change({ ...lora, loraAlpha })}
        />
      </td>
      <td>
        <NumberInput
          aria-label={`Dropout on ${label}`}
          title="share of the adapter’s input numbers that each step leaves out"
          min={0}
          max={0.99}
          step={0.05}
          disabled={off}
          placeholder={lora ? '0' : ''}
          value={lora?.dropout}
          onCommit={(dropout) => lora && change({ ...lora, dropout })}
        />
      </td>
      <td>
        <Checkbox
          label={<span className="visually-hidden">rsLoRA on {label}</span>}
          disabled={off}
          checked={lora?.rankStabilised ?? false}
          onChange={(on) => lora && change({ ...lora, rankStabilised: on })}
        />
      </td>
    </tr>
  );
}
