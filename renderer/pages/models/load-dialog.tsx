// Load options with the memory they will take, before anything is loaded.
import { useEffect, useState } from 'react';
import { type ErrorBody, type Estimate, type LoadOptions, type ModelCard, toErrorBody } from '../../../main/contract/index.ts';
import { Button, Dialog, ErrorNotice, format, Notice } from '../../components/index.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useStores } from '../../stores/index.tsx';
import { LoadFields } from './load-fields.tsx';
import { MemoryBar } from './memory-bar.tsx';
import style from './models.module.css';

const SETTLE_MS = 250;

export function LoadDialog({ card, onClose }: { card: ModelCard; onClose: () => void }) {
  const { client, models, notices } = useStores();
  const [options, setOptions] = useState<LoadOptions>(() => ({ ...card.defaults.load, ...(card.state.state === 'loaded' ? card.state.loaded.options : {}) }));
  const { estimate, error } = useEstimate(card.id, options);
  const load = () => {
    onClose();
    void models.getState().load(card.id, options);
  };
  const keep = () => {
    client.call('models.setDefaults', { id: card.id, defaults: { ...card.defaults, load: options } }).then(
      () => notices.getState().show({ tone: 'good', title: `${card.name} will load with these options from now on.` }),
      (thrown: unknown) => notices.getState().error(thrown),
    );
  };
  const footer = (
    <>
      <Button variant="quiet" onClick={() => setOptions({})}>
        Reset
      </Button>
      <Button onClick={keep}>Keep as default</Button>
      <Button variant="primary" onClick={load} disabled={estimate?.fits === false}>
        {card.state.state === 'loaded' ? 'Reload' : 'Load'}
      </Button>
    </>
  );
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Load ${card.name}`}
      width="large"
      footer={footer}
      description="Empty fields take the default that is shown. The memory is estimated before anything is read."
    >
      <div className={style.loadDialog}>
        <LoadFields options={options} defaults={estimate?.options ?? {}} inspection={card.inspection} onChange={setOptions} />
        <EstimateView estimate={estimate} error={error} />
      </div>
    </Dialog>
  );
}

function useEstimate(id: string, options: LoadOptions): { estimate: Estimate | null; error: ErrorBody | null } {
  const { client } = useStores();
  const [state, setState] = useState<{ estimate: Estimate | null; error: ErrorBody | null }>({ estimate: null, error: null });
  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      client.call('models.estimate', { id, options }).then(
        (estimate) => current && setState({ estimate, error: null }),
        (thrown: unknown) => current && setState((before) => ({ estimate: before.estimate, error: toErrorBody(thrown) })),
      );
    }, SETTLE_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [client, id, options]);
  return state;
}

function EstimateView({ estimate, error }: { estimate: Estimate | null; error: ErrorBody | null }) {
  const stores = useStores();
  if (error) return <ErrorNotice error={error} advice={errorHelp(error, stores).advice} />;
  if (!estimate) return <p className={style.note}>Estimating the memory…</p>;
  return (
    <section className={style.estimate} aria-label="Estimated memory" aria-live="polite">
      {estimate.devices.map((device) => (
        <MemoryBar key={device.id} device={device.id} split={device} available={device.memoryFree} estimated />
      ))}
      {estimate.fits ? (
        <p className={style.note}>
          Needs {format.bytes(estimate.need)} of {format.bytes(estimate.have)} (est.).
        </p>
      ) : (
        <Notice tone="warn" title={`Does not fit: ${format.bytes(estimate.need)} needed, ${format.bytes(estimate.have)} free.`}>
          Use a shorter context, fewer sequences, a smaller KV type, or unload another model.
        </Notice>
      )}
    </section>
  );
}
