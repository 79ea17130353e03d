import type { LoadOptions } from '../../../main/contract/index.ts';
import { Field, NumberInput, Select } from '../../components/index.ts';
import style from './settings.module.css';
import { useSettingValues } from './use-setting.ts';

type NumberOption = 'contextLength' | 'sequences' | 'batch' | 'gpuLayers' | 'cpuExpertLayers';
const numbers: { key: NumberOption; label: string; hint: string; placeholder: string; min: number; max: number }[] = [
  {
    key: 'contextLength',
    label: 'Context',
    hint: 'Tokens a conversation may have. The KV cache grows with it.',
    placeholder: 'the model’s, at most 8192',
    min: 8,
    max: 16_777_216,
  },
  { key: 'sequences', label: 'Conversations at once', hint: 'Each has its own KV cache of a whole context.', placeholder: '4', min: 1, max: 64 },
  { key: 'batch', label: 'Batch', hint: 'Tokens evaluated together.', placeholder: '512', min: 1, max: 16_384 },
  { key: 'gpuLayers', label: 'Layers on GPUs', hint: 'From the end of the model.', placeholder: 'all that there are', min: 0, max: 100_000 },
  {
    key: 'cpuExpertLayers',
    label: 'Layers with experts in RAM',
    hint: 'The routed experts of the first layers stay in RAM; the rest of those layers goes to the GPU.',
    placeholder: '0',
    min: 0,
    max: 100_000,
  },
];

const DEFAULT = 'default';
const kvTypes = ['f32', 'f16', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'] as const;
const kvOptions = [{ value: DEFAULT, label: 'Default (f16)' }, ...kvTypes.map((type) => ({ value: type, label: type }))] as const;
const flashOptions = [
  { value: DEFAULT, label: 'Default (automatic)' },
  { value: 'on', label: 'On' },
  { value: 'off', label: 'Off' },
] as const;
const mapOptions = [
  { value: DEFAULT, label: 'Default (on)' },
  { value: 'on', label: 'On' },
  { value: 'off', label: 'Off: read it all at load' },
] as const;

export function LoadDefaults() {
  const { settings, change } = useSettingValues();
  const options = settings.loadDefaults;
  const set = <Key extends keyof LoadOptions>(key: Key, value: LoadOptions[Key] | undefined) => {
    const { [key]: _old, ...others } = options;
    change({ loadDefaults: value === undefined ? others : { ...others, [key]: value } });
  };
  return (
    <>
      {numbers.map(({ key, label, hint, placeholder, min, max }) => (
        <Field key={key} label={label} hint={hint} layout="row">
          {(control) => (
            <NumberInput
              {...control}
              className={style.number}
              value={options[key]}
              placeholder={placeholder}
              min={min}
              max={max}
              integer
              onCommit={(value) => set(key, value)}
            />
          )}
        </Field>
      ))}
      {(['kvTypeK', 'kvTypeV'] as const).map((key) => (
        <Field
          key={key}
          label={key === 'kvTypeK' ? 'KV cache, keys' : 'KV cache, values'}
          hint="Smaller types take less memory and cost some quality."
          layout="row"
        >
          {(control) => (
            <Select
              {...control}
              className={style.number}
              value={options[key] ?? DEFAULT}
              options={kvOptions}
              onChange={(value) => set(key, value === DEFAULT ? undefined : value)}
            />
          )}
        </Field>
      ))}
      <Field label="Flash attention" hint="Less memory and mostly faster; quantised values of the KV cache need it." layout="row">
        {(control) => (
          <Select
            {...control}
            className={style.number}
            value={options.flashAttention === 'auto' ? DEFAULT : (options.flashAttention ?? DEFAULT)}
            options={flashOptions}
            onChange={(value) => set('flashAttention', value === DEFAULT ? undefined : value)}
          />
        )}
      </Field>
      <Field label="Memory map" hint="Lets the system read weights from the file when they are needed." layout="row">
        {(control) => (
          <Select
            {...control}
            className={style.number}
            value={options.memoryMap === undefined ? DEFAULT : options.memoryMap ? 'on' : 'off'}
            options={mapOptions}
            onChange={(value) => set('memoryMap', value === DEFAULT ? undefined : value === 'on')}
          />
        )}
      </Field>
    </>
  );
}
