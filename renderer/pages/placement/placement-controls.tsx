// RAM for experts and what leaves it first; both change while the model works.
import { useState } from 'react';
import { ExpertPolicy, ExpertPrefetch, type ExpertStore } from '../../../main/contract/index.ts';
import { Field, format, Select, Slider } from '../../components/index.ts';
import style from './placement.module.css';
import type { Placement } from './use-placement.ts';

/** of the slider, from the least RAM to the most */
const STEPS = 200;

const descriptions: Record<ExpertPolicy, string> = {
  lru: 'longest unused leaves',
  lfu: 'least often used leaves',
  lfru: 'often and lately used stays',
  score: 'by router weight, fading',
  'least-stale': 'what older batches brought leaves',
  lrfu: 'frequency that fades',
  foresight: 'by what past routing foretells',
};
const prefetchModes = [
  { value: 'auto' as const, label: 'auto', hint: 'as far as it pays' },
  { value: 'off' as const, label: 'off', hint: 'only when they are asked for' },
];
const policies = ExpertPolicy.options.map((value) => ({ value, label: value, hint: descriptions[value] }));

export function PlacementControls({ store, configure }: { store: ExpertStore; configure: Placement['configure'] }) {
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
      <Field
        label="RAM for experts"
        trailing={text}
        hint="Takes effect at once, also in the middle of a reply. With less, the experts of least worth leave; with more, others are read meanwhile."
      >
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
      <Field label="What stays" hint="Lossless: it decides how often the disk is needed, not what the model says.">
        {(control) => (
          <Select {...control} value={ExpertPolicy.parse(store.policy)} options={policies} onChange={(policy) => void configure({ policy }, policy)} />
        )}
      </Field>
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
    </div>
  );
}
