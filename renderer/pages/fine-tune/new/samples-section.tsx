// The questions that every checkpoint is asked.
import { Field, NumberInput, Section, Switch, TextArea } from '../../../components/index.ts';
import style from './new-run.module.css';
import { useRunDraft } from './run-draft.ts';

export function SamplesSection() {
  const samples = useRunDraft((state) => state.draft.plan.samples);
  const changePlan = useRunDraft((state) => state.changePlan);
  const change = (next: typeof samples) => changePlan({ samples: { ...samples, ...next } });
  const { prompts = [], examples, maxTokens } = samples ?? {};
  const setPrompts = (text: string) => {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    change({ prompts: lines.length > 0 ? lines.slice(0, 32) : undefined });
  };
  return (
    <Section title="Samples" hint="Every checkpoint answers the same questions, so that you read what the loss cannot tell.">
      <Field label="Ask every checkpoint" layout="row">
        {(control) => <Switch {...control} checked={samples !== undefined} onChange={(on) => changePlan({ samples: on ? {} : undefined })} />}
      </Field>
      {samples && (
        <>
          <Field label="Your questions" hint="one a line; without any, examples of the validation part are asked, whose right answers are known">
            {(control) => (
              <TextArea
                {...control}
                rows={3}
                defaultValue={prompts.join('\n')}
                onBlur={(event) => setPrompts(event.target.value)}
                placeholder="What is 14 in Roman numerals?"
              />
            )}
          </Field>
          <div className={style.fields}>
            {prompts.length === 0 && (
              <Field label="Examples asked" hint="of the validation part">
                {(control) => (
                  <NumberInput {...control} integer min={0} max={32} placeholder="3" value={examples} onCommit={(value) => change({ examples: value })} />
                )}
              </Field>
            )}
            <Field label="Tokens of an answer" hint="at most">
              {(control) => (
                <NumberInput {...control} integer min={1} max={4096} placeholder="64" value={maxTokens} onCommit={(value) => change({ maxTokens: value })} />
              )}
            </Field>
          </div>
        </>
      )}
    </Section>
  );
}
