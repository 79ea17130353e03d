// Memory and time of the run as the form stands, told before it begins.
import type { DatasetReport, ModelCard, TrainEstimate } from '../../../../main/contract/index.ts';
import { ErrorNotice, Figures, format, MemoryUse, Notice, Section } from '../../../components/index.ts';
import { errorHelp } from '../../../stores/error-help.ts';
import { useStores } from '../../../stores/index.tsx';
import { aboutText, fitAdvice, MEMORY_PARTS, measuredText, partBytes, shortText } from './estimate-text.ts';
import { useRunDraft } from './run-draft.ts';
import style from './run-estimate.module.css';
import { useEstimate } from './use-estimate.ts';

/** isSound: nothing in the form is wrong. */
export function RunEstimate({ model, report, isSound }: { model: ModelCard | undefined; report: DatasetReport | null; isSound: boolean }) {
  const draft = useRunDraft((state) => state.draft);
  const { estimate, error, pending } = useEstimate(model?.id, draft, report, isSound);
  const stores = useStores();
  return (
    <Section title="Estimate" hint="What the run will take of this machine as it is now.">
      <div className={style.estimate} aria-busy={pending !== null} aria-live="polite">
        {!estimate && !error && <p className={style.note}>{pending ? 'Estimating the memory…' : 'Known once there is data, and nothing is wrong above.'}</p>}
        {error && error.code !== 'cancelled' && <ErrorNotice error={error} advice={errorHelp(error, stores).advice} />}
        {estimate && <Memory estimate={estimate} />}
        {estimate && <Time estimate={estimate} isPending={pending !== null} />}
      </div>
    </Section>
  );
}

function Memory({ estimate }: { estimate: TrainEstimate }) {
  const short = shortText(estimate);
  return (
    <>
      {estimate.devices.map((device) => (
        <MemoryUse
          key={device.id}
          device={device.id}
          label="Memory of the run"
          parts={MEMORY_PARTS.map((part) => ({ label: part.label, bytes: partBytes(device, part) }))}
          free={device.memoryTotal > 0 ? device.memoryFree : undefined}
          estimated
        />
      ))}
      {estimate.expertsOnDisk > 0 && <p className={style.note}>{format.bytes(estimate.expertsOnDisk)} of experts are read from disk in turns.</p>}
      {short && (
        <Notice tone="warn" title={`Does not fit: ${short}`}>
          {fitAdvice(estimate)}
        </Notice>
      )}
    </>
  );
}

function Time({ estimate: { time, tokensPerStep, steps, parameters, fits }, isPending }: { estimate: TrainEstimate; isPending: boolean }) {
  const waiting = isPending ? 'computing some of a step…' : 'not known';
  return (
    <Figures
      figures={[
        { label: 'trained', value: format.count(parameters), title: `${format.exact(parameters)} numbers` },
        { label: 'tokens a step', value: format.count(Math.round(tokensPerStep)) },
        ...(fits
          ? [
              { label: 'a step', value: time ? format.duration(time.stepSeconds * 1000) : waiting, ...(time && { title: measuredText(time) }) },
              { label: `${format.exact(steps)} steps`, value: time ? aboutText(time.seconds) : waiting, ...(time && { title: measuredText(time) }) },
            ]
          : []),
      ]}
    />
  );
}
