// The modes that change answers to save reads: switches, thresholds, and how often each was used.
import type { LossyExperts, LossyStatus } from '../../../main/contract/index.ts';
import { LowPrecisionType } from '../../../main/contract/index.ts';
import { Badge, Field, Figures, format, Section, Select, Slider, Switch } from '../../components/index.ts';
import { budgetAt, budgetSteps, lossyFigures, lossyOf, stepOf } from './lossy.ts';
import style from './placement.module.css';
import type { Placement } from './use-placement.ts';

const types = [
  { value: LowPrecisionType.enum.q4_0, label: 'Q4_0', hint: '4.5 bits a weight' },
  { value: LowPrecisionType.enum.q3_k, label: 'Q3_K', hint: '3.4 bits a weight' },
  { value: LowPrecisionType.enum.q2_k, label: 'Q2_K', hint: '2.6 bits a weight' },
];

export function LossySection({ lossy, configure }: { lossy: LossyStatus | null; configure: Placement['configure'] }) {
  const now = lossyOf(lossy);
  const copies = lossy?.lowPrecisionCopies;
  const set = (lossyExperts: LossyExperts, text: string) => void configure({ lossyExperts }, text);
  const low = (change: Partial<NonNullable<LossyExperts['lowPrecision']>>, text: string) =>
    set({ ...now, lowPrecision: { above: 0.6, ...now.lowPrecision, ...change } }, text);
  const { lowPrecision, skip, ...neither } = now;
  return (
    <Section
      title="Fewer reads, other answers"
      hint="Off by default, because it changes what the model says: experts that would have to be read from disk and count little for a token are approximated, or left out."
    >
      <div className={style.controls}>
        <Field label="Copies at low precision" layout="row" hint="They are made once, in the background, in a file beside the model.">
          {(control) => (
            <Switch
              {...control}
              checked={lowPrecision !== undefined}
              onChange={(on) => (on ? low({}, 'low precision on') : set({ ...neither, ...(skip && { skip }) }, 'low precision off'))}
            />
          )}
        </Field>
        {lowPrecision && (
          <>
            <Field
              label="For experts that rank below"
              trailing={format.percent(lowPrecision.above)}
              hint="of a token's gate weights. 0%: all but its first expert; 100%: none."
            >
              {(control) => (
                <Slider
                  aria-label="For experts that rank below"
                  aria-describedby={control['aria-describedby']}
                  aria-valuetext={format.percent(lowPrecision.above)}
                  value={Math.round(lowPrecision.above * 100)}
                  min={0}
                  max={100}
                  step={1}
                  onCommit={(percent) => low({ above: percent / 100 }, `low precision below ${percent}%`)}
                />
              )}
            </Field>
            <Field label="Precision" trailing={copies && <CopiesState copies={copies} />}>
              {(control) => <Select {...control} value={lowPrecision.type ?? 'q2_k'} options={types} onChange={(type) => low({ type }, type)} />}
            </Field>
          </>
        )}
        <Field label="Leave experts out" layout="row" hint="In layers that mind it least. Needs “moebius calibrate MODEL --text FILE” once.">
          {(control) => (
            <Switch
              {...control}
              checked={skip !== undefined}
              onChange={(on) =>
                set({ ...neither, ...(lowPrecision && { lowPrecision }), ...(on && { skip: { budget: 0.01 } }) }, on ? 'leaving out on' : 'leaving out off')
              }
            />
          )}
        </Field>
        {skip && (
          <Field label="Harm at most" trailing={`${skip.budget} nats a token`} hint="Mean KL divergence of the next token, if all were left out that may be.">
            {(control) => (
              <Slider
                aria-label="Harm at most"
                aria-describedby={control['aria-describedby']}
                aria-valuetext={`${skip.budget} nats a token`}
                value={stepOf(skip.budget)}
                min={0}
                max={budgetSteps}
                step={1}
                onCommit={(step) => set({ ...now, skip: { budget: budgetAt(step) } }, `harm below ${budgetAt(step)}`)}
              />
            )}
          </Field>
        )}
      </div>
      {lossy && <Figures figures={lossyFigures(lossy)} />}
    </Section>
  );
}

function CopiesState({ copies }: { copies: NonNullable<LossyStatus['lowPrecisionCopies']> }) {
  if (copies.state === 'writing') return <Badge title={`to ${copies.file}; until then experts are read in full`}>made: {format.percent(copies.written)}</Badge>;
  if (copies.state === 'failed')
    return (
      <Badge tone="bad" title={copies.problem ?? undefined}>
        failed
      </Badge>
    );
  return <span title={`${copies.ramBytes} bytes for copies of ${copies.file}`}>{format.bytes(copies.ramBytes)} of RAM</span>;
}
