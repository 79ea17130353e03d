import { useEffect, useState } from 'react';
import { z } from 'zod';
import type { GenerationParameters } from '../../../main/contract/index.ts';
import { Field, TextArea } from '../../components/index.ts';
import style from './parameters.module.css';
import { withSampling } from './setup.ts';

const JsonObject = z.record(z.string(), z.unknown());
const Biases = z.array(z.strictObject({ token: z.number().int(), bias: z.number() }));

interface GroupProps {
  parameters: GenerationParameters;
  onChange: (parameters: GenerationParameters) => void;
}

/** What a reply must look like. Grammar and schema exclude each other: setting one takes the other out. */
export function ConstraintGroup({ parameters, onChange }: GroupProps) {
  const sampling = parameters.sampling ?? {};
  const set = [sampling.grammar, sampling.jsonSchema, sampling.logitBias].filter((value) => value !== undefined).length;
  return (
    <details className={style.group}>
      <summary>
        Constraints
        {set > 0 && <span className={style.set}>{set} set</span>}
      </summary>
      <div className={style.rows}>
        <TextConstraint
          label="JSON schema"
          hint="The reply is JSON of this shape."
          value={sampling.jsonSchema ? JSON.stringify(sampling.jsonSchema, null, 2) : ''}
          parse={(text) => readJson(text, JsonObject, 'a JSON object')}
          onChange={(value) => onChange(withSampling(withSampling(parameters, 'grammar', undefined), 'jsonSchema', value))}
        />
        <TextConstraint
          label="Grammar (GBNF)"
          hint="The reply is a sentence of this grammar."
          value={sampling.grammar ?? ''}
          parse={(text) => ({ value: text })}
          onChange={(value) => onChange(withSampling(withSampling(parameters, 'jsonSchema', undefined), 'grammar', value))}
        />
        <TextConstraint
          label="Logit bias"
          hint={'Added to single tokens: [{"token": 42, "bias": -5}]'}
          value={sampling.logitBias ? JSON.stringify(sampling.logitBias) : ''}
          parse={(text) => readJson(text, Biases, 'a list of {token, bias}')}
          onChange={(value) => onChange(withSampling(parameters, 'logitBias', value))}
        />
      </div>
    </details>
  );
}

type Parsed = { value: unknown } | { problem: string };

function readJson(text: string, schema: z.ZodType, what: string): Parsed {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? { value: parsed.data } : { problem: `This is not ${what}.` };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : 'This is not JSON.' };
  }
}

interface TextConstraintProps {
  label: string;
  hint: string;
  value: string;
  parse: (text: string) => Parsed;
  onChange: (value: unknown) => void;
}

function TextConstraint({ label, hint, value, parse, onChange }: TextConstraintProps) {
  const [draft, setDraft] = useState(value);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => setDraft(value), [value]);
  const commit = () => {
    if (draft === value) return;
    const parsed: Parsed = draft.trim() === '' ? { value: undefined } : parse(draft);
    if ('problem' in parsed) setProblem(parsed.problem);
    else {
      setProblem(null);
      onChange(parsed.value);
    }
  };
  return (
    <Field layout="compact" label={label} hint={hint} error={problem}>
      {(control) => (
        <TextArea
          {...control}
          mono
          rows={3}
          spellCheck={false}
          placeholder="None"
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onBlur={commit}
        />
      )}
    </Field>
  );
}
