// What the chosen options come to: memory on each device against what is free there, speed and what limits it.
import type { Estimate, PlanResult } from '../../../main/contract/index.ts';
import { type Column, classes, ErrorNotice, Figures, format, Notice, Table } from '../../components/index.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useStores } from '../../stores/index.tsx';
import type { LivePlanState } from './live-plan.ts';
import { MemoryBar } from './memory-bar.tsx';
import style from './models.module.css';
import { bottleneckText, hitRateText, layersText, shortDevice, slotsText } from './plan-text.ts';

export function PlanView({ state }: { state: LivePlanState }) {
  const { estimate, plan, error, pending } = state;
  const stores = useStores();
  return (
    <div className={style.plan} aria-busy={pending !== null}>
      {estimate && <Memory estimate={estimate} />}
      {!estimate && !error && <p className={style.note}>Estimating the memory…</p>}
      {error && <ErrorNotice error={error} advice={errorHelp(error, stores).advice} />}
      {!error && estimate?.fits !== false && <Speed plan={plan} old={pending !== null} />}
    </div>
  );
}

function Memory({ estimate }: { estimate: Estimate }) {
  const short = shortDevice(estimate);
  const exact = (bytes: number) => format.exact(bytes);
  return (
    <section className={style.estimate} aria-label="Estimated memory" aria-live="polite">
      {estimate.devices.map((device) => (
        <MemoryBar key={device.id} device={device.id} split={device} available={device.memoryFree} estimated />
      ))}
      {short ? (
        <Notice tone="warn" title={`Does not fit on ${short.id}: ${format.bytes(short.need)} needed, ${format.bytes(short.have)} free.`}>
          {exact(short.need)} bytes of {exact(short.have)}.{' '}
          {short.id === 'CPU'
            ? 'Use a shorter context, fewer sequences or a smaller KV type, keep fewer experts in RAM, or unload another model.'
            : 'Give experts less of it, put fewer layers there, or use a shorter context.'}
        </Notice>
      ) : (
        <p className={style.note}>
          Needs {format.bytes(estimate.need)} of {format.bytes(estimate.have)} (est.).
        </p>
      )}
    </section>
  );
}

function Speed({ plan, old }: { plan: PlanResult | null; old: boolean }) {
  if (!plan) return <p className={style.note}>Predicting the speed. The first time this machine is measured, which takes some seconds…</p>;
  const slots = slotsText(plan);
  return (
    <section className={classes(style.speed, old && style.old)} aria-label="Predicted speed" aria-live="polite">
      <Figures
        figures={[
          { label: 'Reading a prompt', value: `${format.rate(plan.prefill.tokensPerSecond)} est.`, title: `of ${plan.promptTokens} tokens` },
          { label: 'Writing a reply', value: `${format.rate(plan.decode.tokensPerSecond)} est.`, title: `of ${plan.replyTokens} tokens behind such a prompt` },
        ]}
      />
      <dl className={style.facts}>
        <div>
          <dt>Prompts are limited by</dt>
          <dd>{bottleneckText(plan, plan.prefill)}</dd>
        </div>
        <div>
          <dt>Replies are limited by</dt>
          <dd>{bottleneckText(plan, plan.decode)}</dd>
        </div>
        {slots && (
          <div>
            <dt>Experts of a layer</dt>
            <dd>{slots}</dd>
          </div>
        )}
        {slots && (
          <div>
            <dt>Found in memory</dt>
            <dd>{hitRateText(plan)}</dd>
          </div>
        )}
        <div>
          <dt>All else</dt>
          <dd>{layersText(plan)}</dd>
        </div>
      </dl>
      {slots && (
        <details className={style.details}>
          <summary>Slots of each layer</summary>
          <Table caption="Slots of each layer" columns={slotColumns(plan)} rows={plan.placement.experts} rowKey={({ layer }) => String(layer)} />
        </details>
      )}
      {old && <p className={classes(style.note, style.late)}>Predicting anew; what was not measured yet takes a moment…</p>}
    </section>
  );
}

type LayerSlots = PlanResult['placement']['experts'][number];

const slotColumns = ({ hardware }: PlanResult): Column<LayerSlots>[] => [
  { id: 'layer', header: 'Layer', cell: ({ layer }) => layer },
  ...hardware.map(({ id }): Column<LayerSlots> => ({ id, header: id === 'CPU' ? 'RAM' : id, cell: ({ slots }) => slots[id] ?? 0, align: 'right' })),
  { id: 'disk', header: 'Only on disk', cell: ({ onlyOnDisk }) => onlyOnDisk, align: 'right' },
];
