import { Dices, X } from 'lucide-react';
import { useState } from 'react';
import type { GenerationParameters } from '../../../main/contract/index.ts';
import { Field, IconButton, NumberInput, Select, TextInput } from '../../components/index.ts';
import style from './parameters.module.css';
import { withParameter, withSampling } from './setup.ts';

const SEEDS = 4_294_967_296;
const STOP_LIMIT = 16;
const overflows = [
  { value: 'default', label: 'Default (stop)' },
  { value: 'error', label: 'Fail before it starts' },
  { value: 'stop', label: 'Stop when it is full' },
  { value: 'shift', label: 'Drop the oldest half and go on' },
] as const;

interface GroupProps {
  parameters: GenerationParameters;
  onChange: (parameters: GenerationParameters) => void;
}

/** Seed, length, and what ends a reply. */
export function LengthGroup({ parameters, onChange }: GroupProps) {
  const seed = parameters.sampling?.seed;
  return (
    <details className={style.group} open>
      <summary>Reply</summary>
      <div className={style.rows}>
        <Field layout="compact" label="Seed" hint="The same seed, prompt and settings give the same reply. Empty: another one each time.">
          {(control) => (
            <div className={style.withButton}>
              <NumberInput
                {...control}
                value={seed}
                placeholder="random"
                min={0}
                max={SEEDS - 1}
                integer
                onCommit={(value) => onChange(withSampling(parameters, 'seed', value))}
              />
              <IconButton
                label="Draw a seed and keep it"
                icon={Dices}
                variant="plain"
                onClick={() => onChange(withSampling(parameters, 'seed', Math.floor(Math.random() * SEEDS)))}
              />
            </div>
          )}
        </Field>
        <Field layout="compact" label="Longest reply" hint="Tokens. Empty: until the model ends or the context is full.">
          {(control) => (
            <NumberInput
              {...control}
              value={parameters.maxTokens}
              placeholder="no limit"
              min={1}
              max={16_777_216}
              integer
              onCommit={(value) => onChange(withParameter(parameters, 'maxTokens', value))}
            />
          )}
        </Field>
        <StopStrings stop={parameters.stop ?? []} onChange={(stop) => onChange(withParameter(parameters, 'stop', stop.length > 0 ? stop : undefined))} />
        <Field label="When the context is full">
          {(control) => (
            <Select
              {...control}
              value={parameters.overflow ?? 'default'}
              options={overflows}
              onChange={(value) => onChange(withParameter(parameters, 'overflow', value === 'default' ? undefined : value))}
            />
          )}
        </Field>
      </div>
    </details>
  );
}

function StopStrings({ stop, onChange }: { stop: readonly string[]; onChange: (stop: string[]) => void }) {
  const [draft, setDraft] = useState('');
  const add = () => {
    const text = draft.replaceAll('\\n', '\n');
    if (text !== '' && !stop.includes(text)) onChange([...stop, text]);
    setDraft('');
  };
  return (
    <Field layout="compact" label="Stop strings" hint="The reply ends before any of these. \n is a new line; Enter adds one.">
      {(control) => (
        <>
          {stop.length > 0 && (
            <ul className={style.chips}>
              {stop.map((text) => (
                <li key={text}>
                  <code>{text.replaceAll('\n', '\\n')}</code>
                  <IconButton label={`Remove ${text}`} icon={X} size="small" onClick={() => onChange(stop.filter((other) => other !== text))} />
                </li>
              ))}
            </ul>
          )}
          <TextInput
            {...control}
            mono
            placeholder={stop.length >= STOP_LIMIT ? 'No more than 16' : 'Add one'}
            disabled={stop.length >= STOP_LIMIT}
            value={draft}
            onChange={(event) => setDraft(event.target.value)}
            onKeyDown={(event) => event.key === 'Enter' && add()}
            onBlur={add}
          />
        </>
      )}
    </Field>
  );
}
