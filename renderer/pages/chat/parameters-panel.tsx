import { RotateCcw, X } from 'lucide-react';
import { useEffect, useState } from 'react';
import type { GenerationParameters } from '../../../main/contract/index.ts';
import { Button, Field, IconButton, TextArea } from '../../components/index.ts';
import { useCurrentModel } from '../../shell/current-model.ts';
import { ConstraintGroup } from './constraint-group.tsx';
import { LengthGroup } from './length-group.tsx';
import { ParameterRow } from './parameter-row.tsx';
import { parameterGroups } from './parameter-table.ts';
import style from './parameters.module.css';
import { PresetPicker } from './preset-picker.tsx';
import { useChatSetup, withSampling } from './setup.ts';

/** System prompt, presets and everything that sampling knows, for this chat. */
export function ParametersPanel({ chatId, onClose }: { chatId: string | null; onClose: () => void }) {
  const { setup, change } = useChatSetup(chatId);
  const changeParameters = (parameters: GenerationParameters) => change({ parameters });
  const changed = Object.keys(setup.parameters.sampling ?? {}).length + Object.keys(setup.parameters).filter((key) => key !== 'sampling').length;
  return (
    <aside className={style.panel} aria-label="Parameters">
      <header className={style.head}>
        <h2>Parameters</h2>
        {changed > 0 && (
          <Button size="small" variant="quiet" icon={RotateCcw} hint="Back to the defaults of the model" onClick={() => changeParameters({})}>
            Reset {changed}
          </Button>
        )}
        <IconButton label="Close parameters" icon={X} size="small" keys="mod+." onClick={onClose} />
      </header>
      <div className={style.body}>
        <PresetPicker setup={setup} change={change} />
        <SystemPrompt key={chatId ?? ''} value={setup.systemPrompt} onCommit={(systemPrompt) => change({ systemPrompt })} />
        <LengthGroup parameters={setup.parameters} onChange={changeParameters} />
        <SamplingGroups parameters={setup.parameters} onChange={changeParameters} />
        <ConstraintGroup parameters={setup.parameters} onChange={changeParameters} />
      </div>
    </aside>
  );
}

function SystemPrompt({ value, onCommit }: { value: string; onCommit: (value: string) => void }) {
  const [draft, setDraft] = useState(value);
  useEffect(() => setDraft(value), [value]);
  return (
    <Field label="System prompt" hint="Comes before the conversation. Stored when you leave the field.">
      {(control) => (
        <TextArea
          {...control}
          rows={3}
          placeholder="None"
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onBlur={() => draft !== value && onCommit(draft)}
        />
      )}
    </Field>
  );
}

function SamplingGroups({ parameters, onChange }: { parameters: GenerationParameters; onChange: (parameters: GenerationParameters) => void }) {
  const ofModel = useCurrentModel()?.defaults.sampling;
  const sampling = parameters.sampling;
  return parameterGroups.map((group) => {
    const set = group.parameters.filter((parameter) => sampling?.[parameter.key] !== undefined).length;
    return (
      <details key={group.title} className={style.group} open={group.open || undefined}>
        <summary>
          {group.title}
          {set > 0 && <span className={style.set}>{set} set</span>}
        </summary>
        <div className={style.rows}>
          {group.parameters.map((parameter) => (
            <ParameterRow
              key={parameter.key}
              parameter={parameter}
              value={sampling?.[parameter.key]}
              standard={ofModel?.[parameter.key] ?? parameter.standard}
              onChange={(value) => onChange(withSampling(parameters, parameter.key, value))}
            />
          ))}
        </div>
      </details>
    );
  });
}
