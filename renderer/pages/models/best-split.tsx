// Seeks the split of attention and experts over all GPUs that answers soonest, and compares it with the best one that has the same shares for both.
import { useEffect, useRef, useState } from 'react';
import { type Device, type ErrorBody, type LoadOptions, type PlanResult, toErrorBody } from '../../../main/contract/index.ts';
import { Button, ErrorNotice, format } from '../../components/index.ts';
import { useStores } from '../../stores/index.tsx';
import style from './models.module.css';
import { splitText } from './plan-text.ts';

interface BestSplitProps {
  id: string;
  options: LoadOptions;
  devices: readonly Device[];
  onUse: (options: LoadOptions) => void;
}

type Found = Pick<PlanResult, 'folding' | 'promptTokens' | 'replyTokens'>;

/** The options that a search goes by: all but those that it chooses. */
function given(options: LoadOptions): LoadOptions {
  return {
    ...options,
    devices: undefined,
    gpuLayers: undefined,
    tensorSplit: undefined,
    cpuExpertLayers: undefined,
    expertRamBytes: undefined,
    expertDevices: undefined,
  };
}

export function BestSplit({ id, options, devices, onUse }: BestSplitProps) {
  const { client } = useStores();
  const ticket = useRef(crypto.randomUUID()).current;
  const [state, setState] = useState<{ busy: boolean; found: Found | null; error: ErrorBody | null; of: string }>({
    busy: false,
    found: null,
    error: null,
    of: '',
  });
  const mounted = useRef(false);
  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
      client.call('models.cancelPlan', { ticket }).catch(() => undefined);
    };
  }, [client, ticket]);
  const gpus = devices.filter(({ kind }) => kind === 'gpu' || kind === 'igpu').map((device) => device.id);
  if (gpus.length === 0) return null;
  const of = JSON.stringify([given(options), gpus]);
  const find = async () => {
    setState({ busy: true, found: null, error: null, of });
    try {
      const found = await client.call('models.plan', { id, options: { ...given(options), devices: gpus }, exact: true, fold: true, ticket });
      if (mounted.current) setState({ busy: false, found, error: null, of });
    } catch (error) {
      if (mounted.current) setState({ busy: false, found: null, error: toErrorBody(error), of });
    }
  };
  const found = state.of === of ? state.found : null; // other options, another answer
  const folding = found?.folding;
  return (
    <section className={style.bestSplit} aria-label="Best split" aria-live="polite">
      <Button
        busy={state.busy}
        onClick={() => void find()}
        hint="Layers and experts, each over the devices by itself: all splits are predicted, none is loaded."
      >
        Find the best split
      </Button>
      {state.busy && <p className={style.note}>Measuring and predicting splits over {gpus.length} GPUs…</p>}
      {state.error && state.of === of && <ErrorNotice error={state.error} />}
      {found && folding && (
        <>
          <dl className={style.facts}>
            <div>
              <dt>
                Best of {format.exact(folding.tried)} that fit, {format.duration(folding.chosen.seconds * 1000)} est. for {found.promptTokens} +{' '}
                {found.replyTokens} tokens
              </dt>
              <dd>{splitText(folding.chosen)}</dd>
            </div>
            <div>
              <dt>Best with the same shares for both, {format.duration(folding.coupled.seconds * 1000)} est.</dt>
              <dd>{splitText(folding.coupled)}</dd>
            </div>
            <div>
              <dt>Gain</dt>
              <dd>{folding.speedup.toPrecision(3)} times as fast (est.)</dd>
            </div>
          </dl>
          <Button onClick={() => onUse({ ...options, ...folding.chosen.options })}>Use this split</Button>
        </>
      )}
    </section>
  );
}
