// RAM for experts, what leaves it first and what is read ahead; all of it changes while the model works.
import { useState } from 'react';
import { ExpertPolicyChoice, ExpertPrefetch, type ExpertStore, type Placement as PlacementState, SlotAllocation } from '../../../main/contract/index.ts';
import { Field, format, Select, Slider } from '../../components/index.ts';
import style from './placement.module.css';
import type { Placement } from './use-placement.ts';

/** of the slider, from the least RAM to the most */
const STEPS = 200;

const descriptions: Record<ExpertPolicyChoice, string> = {
  auto: 'what reads least on your own texts',
  lru: 'longest unused leaves',
  lfu: 'least often used leaves',
  lfru: 'often and lately used stays',
  score: 'by router weight, fading',
  'least-stale': 'what older batches brought leaves',
  lrfu: 'frequency that fades',
  foresight: 'by what past routing foretells',
};
const policies = ExpertPolicyChoice.options.map((value) => ({ value, label: value, hint: descriptions[value] }));

const allocationHints: Record<SlotAllocation, string> = {
  auto: 'what reads least on your own texts',
  uniform: 'the same for every layer',
  marginal: 'where it saves most reads',
  shallow: 'more for the first layers',
};
const allocations = SlotAllocation.options.map((value) => ({ value, label: value, hint: allocationHints[value] }));

/** What was chosen, e.g. "auto: score, 61% hits (lru 54%)"; undefined when nothing was left to choose. */
function choiceText({ modes, choice, store }: PlacementState): string | undefined {
  if (modes.policy !== 'auto' && modes.slotAllocation !== 'auto' && modes.slotAllocation !== 'marginal') return undefined;
  if (choice === null) return `auto: ${store.policy} so far; it is chosen when the model has been used a little and is idle`;
  const rate = (name: string) => format.percent(choice.policies.find((each) => each.policy === name)?.hitRate ?? 0);
  const byPolicy = modes.policy === 'auto' ? [`auto: ${choice.policy}, ${rate(choice.policy)} hits (lru ${rate('lru')})`] : [];
  const { slotAllocation, hitRate, uniformHitRate } = choice;
  const byRoom = `room: ${slotAllocation}, ${format.percent(hitRate)} (uniform ${format.percent(uniformHitRate)})`;
  return `${[...byPolicy, byRoom].join(' · ')}, replayed on the last ${format.count(choice.tokens)} tokens`;
}

const prefetchModes = [
  { value: 'auto' as const, label: 'auto', hint: 'as far as it pays' },
  { value: 'off' as const, label: 'off', hint: 'only when they are asked for' },
];

const meaning: Record<ExpertStore['storage'], string> = {
  slots: 'With less, the experts of least worth leave; with more, others are read meanwhile.',
  ring: 'It was too little for experts of every layer when the model was loaded, or a ring was asked for: all layers take turns in it.',
};

export function PlacementControls({ placement, configure }: { placement: PlacementState; configure: Placement['configure'] }) {
  const { store, modes } = placement;
  const [draft, setDraft] = useState<number | null>(null);
  const { ramBytes, ramBytesLeast: least, ramBytesMost: most } = store;
  const bytesAt = (step: number) => Math.round(least + ((most - least) * step) / STEPS);
  const text = `${format.bytes(draft === null ? ramBytes : bytesAt(draft))} of ${format.bytes(most)}`;
  const commit = async (step: number) => {
    const bytes = bytesAt(step);
    await configure({ ramBytes: bytes }, `${format.bytes(bytes)} of RAM`);
    setDraft(null);
  };
  return (
    <div className={style.controls}>
      <Field label="RAM for experts" trailing={text} hint={`Takes effect at once, also in the middle of a reply. ${meaning[store.storage]}`}>
        {(control) => (
          <Slider
            aria-label="RAM for experts"
            aria-describedby={control['aria-describedby']}
            aria-valuetext={text}
            value={Math.round(((ramBytes - least) / Math.max(1, most - least)) * STEPS)}
            min={0}
            max={STEPS}
            step={1}
            onInput={setDraft}
            onCommit={(step) => void commit(step)}
          />
        )}
      </Field>
      {store.storage === 'slots' && (
        <>
          <Field label="What stays" hint="Lossless: it decides how often the disk is needed, not what the model says.">
            {(control) => <Select {...control} value={modes.policy} options={policies} onChange={(policy) => void configure({ policy }, policy)} />}
          </Field>
          <Field label="Room per layer" hint="How the RAM for experts is shared out among the layers. Lossless, too.">
            {(control) => (
              <Select
                {...control}
                value={modes.slotAllocation}
                options={allocations}
                onChange={(slotAllocation) => void configure({ slotAllocation }, `${slotAllocation} room`)}
              />
            )}
          </Field>
        </>
      )}
      <Field label="Read ahead" hint="Lossless: experts that the next layers will probably use are read while this one is computed.">
        {(control) => (
          <Select
            {...control}
            value={ExpertPrefetch.parse(store.prefetch.mode)}
            options={prefetchModes}
            onChange={(prefetch) => void configure({ prefetch }, `read ahead: ${prefetch}`)}
          />
        )}
      </Field>
      {store.storage === 'slots' && <p className={style.choice}>{choiceText(placement)}</p>}
    </div>
  );
}
