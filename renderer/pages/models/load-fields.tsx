// The fields of LoadOptions; an empty one means the default, which is shown as its placeholder.
import type { Inspection, LoadOptions } from '../../../main/contract/index.ts';
import { Checkbox, Field, NumberInput, Select } from '../../components/index.ts';
import { useApp } from '../../stores/index.tsx';
import style from './models.module.css';

type NumberKey = 'contextLength' | 'sequences' | 'batch' | 'threads' | 'gpuLayers' | 'cpuExpertLayers' | 'expertRamBytes';

/** `unit`: how much of the option one of the field is, 1 unless given. */
const numbers: { key: NumberKey; label: string; hint: string; min: number; unit?: number }[] = [
  { key: 'contextLength', label: 'Context, tokens', hint: 'of one conversation', min: 8 },
  { key: 'sequences', label: 'Sequences', hint: 'conversations that may run at once; each has its own context', min: 1 },
  { key: 'batch', label: 'Batch, tokens', hint: 'evaluated together: faster prompts, more compute memory', min: 1 },
  { key: 'threads', label: 'CPU threads', hint: 'best: the number of physical cores', min: 1 },
  {
    key: 'expertRamBytes',
    label: 'RAM for experts, MB',
    hint: 'the others are read from disk when a token needs them; 0: all must fit',
    min: 0,
    unit: 1_000_000,
  },
];

const gpuNumbers: typeof numbers = [
  { key: 'gpuLayers', label: 'Layers on GPUs', hint: 'counted from the last one', min: 0 },
  { key: 'cpuExpertLayers', label: 'Layers whose experts stay in RAM', hint: 'attention stays on the GPU', min: 0 },
];

const inUnits = (value: number | undefined, unit: number) => (value === undefined ? undefined : Math.round(value / unit));

const kvTypes = (['f16', 'q8_0', 'q5_1', 'q4_0', 'f32'] as const).map((value) => ({ value, label: value }));

interface LoadFieldsProps {
  options: LoadOptions;
  /** what holds where `options` says nothing */
  defaults: LoadOptions;
  inspection: Inspection | null;
  onChange: (options: LoadOptions) => void;
}

export function LoadFields({ options, defaults, inspection, onChange }: LoadFieldsProps) {
  const devices = useApp((state) => state.devices);
  const hasGpu = devices.some((device) => device.kind === 'gpu' || device.kind === 'igpu');
  const fields = hasGpu ? [...numbers, ...gpuNumbers] : numbers;
  const set = (change: Partial<LoadOptions>) => onChange({ ...options, ...change });
  return (
    <div className={style.fields}>
      {fields.map(({ key, label, hint, min, unit = 1 }) => (
        <Field key={key} label={label} hint={key === 'contextLength' && inspection ? `${hint}; the model was made for ${inspection.contextLength}` : hint}>
          {(control) => (
            <NumberInput
              {...control}
              integer
              min={min}
              value={inUnits(options[key], unit)}
              placeholder={String(inUnits(defaults[key], unit) ?? '')}
              onCommit={(value) => set({ [key]: value === undefined ? undefined : value * unit })}
            />
          )}
        </Field>
      ))}
      <Field label="KV cache type" hint="smaller types save memory and lose a little precision">
        {(control) => (
          <Select
            {...control}
            value={options.kvTypeK ?? defaults.kvTypeK ?? 'f16'}
            onChange={(value) => set({ kvTypeK: value, kvTypeV: value })}
            options={kvTypes}
          />
        )}
      </Field>
      {hasGpu && <DeviceBoxes chosen={options.devices} onChange={(chosen) => set({ devices: chosen })} />}
    </div>
  );
}

function DeviceBoxes({ chosen, onChange }: { chosen: string[] | undefined; onChange: (devices: string[]) => void }) {
  const devices = useApp((state) => state.devices).filter((device) => device.kind === 'gpu' || device.kind === 'igpu');
  const used = chosen ?? devices.map((device) => device.id);
  const toggle = (id: string, on: boolean) => onChange(devices.map((device) => device.id).filter((other) => (other === id ? on : used.includes(other))));
  return (
    <fieldset className={style.devices}>
      <legend>GPUs to use</legend>
      {devices.map((device) => (
        <Checkbox key={device.id} checked={used.includes(device.id)} onChange={(on) => toggle(device.id, on)} label={`${device.id}, ${device.description}`} />
      ))}
    </fieldset>
  );
}
