// The planner: load options with the memory and the speed that they would come to, before anything is loaded.
import { useEffect, useState, useSyncExternalStore } from 'react';
import type { LoadOptions, ModelCard } from '../../../main/contract/index.ts';
import { Button, Dialog } from '../../components/index.ts';
import { useApp, useStores } from '../../stores/index.tsx';
import { BestSplit } from './best-split.tsx';
import { BudgetSliders } from './budget-sliders.tsx';
import { LivePlan, type LivePlanState } from './live-plan.ts';
import { ContextFields, LoadFields } from './load-fields.tsx';
import style from './models.module.css';
import { PlanView } from './plan-view.tsx';

export function LoadDialog({ card, onClose }: { card: ModelCard; onClose: () => void }) {
  const { client, models, notices } = useStores();
  const devices = useApp((state) => state.devices);
  const [options, setOptions] = useState<LoadOptions>(() => ({ ...card.defaults.load, ...(card.state.state === 'loaded' ? card.state.loaded.options : {}) }));
  const state = useLivePlan(card.id, options);
  const { estimate } = state;
  const defaults = estimate?.options ?? {};
  const shown = state.pending !== 'estimate' && state.error === null && estimate?.fits ? estimate.options : null;
  const load = () => {
    if (!shown) return;
    onClose();
    void models.getState().load(card.id, shown);
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
      <Button variant="primary" onClick={load} disabled={shown === null}>
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
      description="Empty fields take the default that is shown. Memory and speed are predicted before anything is read."
    >
      <div className={style.loadDialog}>
        <div className={style.choices}>
          <ContextFields options={options} defaults={defaults} inspection={card.inspection} onChange={setOptions} />
          <BudgetSliders options={options} estimate={estimate} devices={devices} onChange={setOptions} />
          <BestSplit id={card.id} options={options} devices={devices} onUse={setOptions} />
        </div>
        <PlanView state={state} />
        <LoadFields options={options} defaults={defaults} onChange={setOptions} />
      </div>
    </Dialog>
  );
}

function useLivePlan(id: string, options: LoadOptions): LivePlanState {
  const { client } = useStores();
  const [plan] = useState(() => new LivePlan(client, id));
  useEffect(() => {
    plan.ask(options);
    return () => plan.cancel();
  }, [plan, options]);
  return useSyncExternalStore(
    (listener) => plan.subscribe(listener),
    () => plan.state,
  );
}
