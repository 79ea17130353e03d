// The fields of LoadOptions; an empty one means the default, which is shown as its placeholder.
import type { Inspection, LoadOptions } from '../../../main/contract/index.ts';
import { Checkbox, Field, NumberInput, Select } from '../../components/index.ts';
import { useApp } from '../../stores/index.tsx';
import style from './models.module.css';

type NumberKey = 'contextLength' | 'sequences' | 'batch' | 'threads' | 'gpuLayers' | 'cpuExpertLayers';

interface NumberField {
  key: NumberKey;
  label: string;
  hint: string;
  min: number;
}

const contextField: NumberField = { key: 'contextLength', label: 'Context, tokens', hint: 'of one conversation', min: 8 };

const numbers: NumberField[] = [
  { key: 'sequences', label: 'Sequences', hint: 'conversations that may run at once; each has its own context', min: 1 },
  { key: 'batch', label: 'Batch, tokens', hint: 'evaluated together: faster prompts, more compute memory', min: 1 },
  { key: 'threads', label: 'CPU threads', hint: 'best: the number of physical cores', min: 1 },
];

const gpuNumbers: NumberField[] = [
  { key: 'gpuLayers', label: 'Layers on GPUs', hint: 'counted from the last one', min: 0 },
  { key: 'cpuExpertLayers', label: 'Layers whose experts stay in RAM', hint: 'attention stays on the GPU', min: 0 },
];

const kvTypes = (['f16', 'q8_0', 'q5_1', 'q4_0', 'f32'] as const).map((value) => ({ value, label: value }));

interface LoadFieldsProps {
  options: LoadOptions;
  /** what holds where `options` says nothing */
  defaults: LoadOptions;
  onChange: (options: LoadOptions) => void;
}

/** Context and KV cache: what decides the memory beside the weights. */
export function ContextFields({ options, defaults, inspection, onChange }: LoadFieldsProps & { inspection: Inspection | null }) {
  const hint = inspection ? `${contextField.hint}; the model was made for ${inspection.contextLength}` : contextField.hint;
  return (
    <div className={style.fields}>
      <Numbers fields={[{ ...contextField, hint }]} options={options} defaults={defaults} onChange={onChange} />
      <Field label="KV cache type" hint="smaller types save memory and lose a little precision">
        {(control) => (
          <Select
            {...control}
            value={options.kvTypeK ?? defaults.kvTypeK ?? 'f16'}
            onChange={(value) => onChange({ ...options, kvTypeK: value, kvTypeV: value })}
            options={kvTypes}
          />
        )}
      </Field>
    </div>
  );
}

export function LoadFields({ options, defaults, onChange }: LoadFieldsProps) {
  const gpus = useApp((state) => state.devices).filter((device) => device.kind === 'gpu' || device.kind === 'igpu');
  const chosen = options.devices ?? defaults.devices ?? [];
  const toggle = (id: string, on: boolean) => {
    const devices = gpus.map((device) => device.id).filter((other) => (other === id ? on : chosen.includes(other)));
    onChange({ ...options, devices, tensorSplit: undefined }); // which has a share for each device
  };
  return (
    <div className={style.fields}>
      <Numbers fields={gpus.length > 0 ? [...numbers, ...gpuNumbers] : numbers} options={options} defaults={defaults} onChange={onChange} />
      {gpus.length > 0 && (
        <fieldset className={style.devices}>
          <legend>GPUs for layers</legend>
          {gpus.map(({ id, description }) => (
            <Checkbox key={id} checked={chosen.includes(id)} onChange={(on) => toggle(id, on)} label={`${id}, ${description}`} />
          ))}
        </fieldset>
      )}
    </div>
  );
}

function Numbers({ fields, options, defaults, onChange }: LoadFieldsProps & { fields: NumberField[] }) {
  return fields.map(({ key, label, hint, min }) => (
    <Field key={key} label={label} hint={hint}>
      {(control) => (
        <NumberInput
          {...control}
          integer
          min={min}
          value={options[key]}
          placeholder={String(defaults[key] ?? '')}
          onCommit={(value) => onChange({ ...options, [key]: value })}
        />
      )}
    </Field>
  ));
}
