// Which parts of the model get an adapter, and how large.
import type { Inspection, Recipe } from '../../../../main/contract/index.ts';
import { Checkbox, NumberInput } from '../../../components/index.ts';
import style from './recipe.module.css';
import { useRunDraft } from './run-draft.ts';

type Adapter = Recipe['adapter'];
type Part = 'attention' | 'ffn' | 'experts' | 'shared' | 'router';
type Lora = NonNullable<Adapter[Part]>;

const parts: { part: Part; label: string; hint: string }[] = [
  { part: 'attention', label: 'Attention', hint: 'queries, keys, values and output of every layer' },
  { part: 'ffn', label: 'Dense FFN', hint: 'gate, up and down of layers without experts' },
  { part: 'experts', label: 'Experts', hint: 'gate, up and down of every expert of every layer' },
  { part: 'shared', label: 'Shared experts', hint: 'the ones that every token goes through' },
  { part: 'router', label: 'Router', hint: 'which experts a token goes to; small ranks suffice' },
];

export function AdapterTable({ inspection, error }: { inspection: Inspection | null; error: string | undefined }) {
  const adapter = useRunDraft((state) => state.draft.plan.adapter);
  const fitting = parts.filter(({ part }) => adapter[part] !== undefined || inspection === null || hasPart(inspection, part));
  return (
    <div className={style.scroll}>
      <table className={style.adapters}>
        <caption>What is trained</caption>
        <thead>
          <tr>
            <th scope="col">Adapter on</th>
            <th scope="col">Rank</th>
            <th scope="col">Alpha</th>
            <th scope="col">rsLoRA</th>
          </tr>
        </thead>
        <tbody>
          {fitting.map((row) => (
            <AdapterRow key={row.part} {...row} lora={adapter[row.part]} />
          ))}
        </tbody>
      </table>
      {error && (
        <p className={style.error} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

function hasPart({ layerCount, moeLayers, sharedExpertCount }: Inspection, part: Part): boolean {
  if (part === 'ffn') return moeLayers.length < layerCount;
  if (part === 'shared') return sharedExpertCount > 0;
  return part === 'attention' || moeLayers.length > 0;
}

function AdapterRow({ part, label, hint, lora }: (typeof parts)[number] & { lora: Lora | undefined }) {
  const change = (next: Lora | undefined) => {
    const { draft, changePlan } = useRunDraft.getState();
    const { [part]: _, ...others } = draft.plan.adapter;
    changePlan({ adapter: next ? { ...others, [part]: next } : others });
  };
  const usual = part === 'router' ? { loraRank: 4, loraAlpha: 8 } : { loraRank: 16, loraAlpha: 32 };
  return (
    <tr>
      <th scope="row">
        <Checkbox label={label} hint={hint} checked={lora !== undefined} onChange={(on) => change(on ? usual : undefined)} />
      </th>
      <td>
        <NumberInput
          aria-label={`Rank on ${label}`}
          integer
          min={1}
          max={4096}
          disabled={!lora}
          value={lora?.loraRank}
          onCommit={(loraRank) => lora && change({ ...lora, loraRank: loraRank ?? usual.loraRank })}
        />
      </td>
      <td>
        <NumberInput
          aria-label={`Alpha on ${label}`}
          min={0.001}
          max={1e6}
          disabled={!lora}
          placeholder={lora ? String(2 * lora.loraRank) : ''}
          value={lora?.loraAlpha}
          onCommit={(loraAlpha) => lora && change({ ...lora, loraAlpha })}
        />
      </td>
      <td>
        <Checkbox
          label={<span className="visually-hidden">rsLoRA on {label}</span>}
          disabled={!lora}
          checked={lora?.rankStabilised ?? false}
          onChange={(on) => lora && change({ ...lora, rankStabilised: on })}
        />
      </td>
    </tr>
  );
}
