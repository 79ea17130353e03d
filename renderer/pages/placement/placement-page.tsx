// Where every expert of the loaded model is, how often it was there when it was wanted, and what decides it.
import { Layers3 } from 'lucide-react';
import { useMemo, useState } from 'react';
import type { ExpertPlacement, ExpertStore, ModelCard } from '../../../main/contract/index.ts';
import { Button, EmptyState, Figures, format, PageFrame, Section, Select } from '../../components/index.ts';
import { type Cell, ExpertGrid } from '../../experts/expert-grid.tsx';
import { navigate, useLocation } from '../../shell/navigation.ts';
import { useModels } from '../../stores/index.tsx';
import { DeviceSection } from './device-section.tsx';
import { LayerTable } from './layer-table.tsx';
import { LayoutSection } from './layout-section.tsx';
import { LossySection } from './lossy-section.tsx';
import style from './placement.module.css';
import { PlacementChart } from './placement-chart.tsx';
import { PlacementControls } from './placement-controls.tsx';
import { hitRateOf, type PlacementHistory } from './placement-history.ts';
import { prefetchFigures } from './prefetch-figures.ts';
import { highestTier, TierGrid, tierText } from './tier-grid.ts';
import { usePlacement } from './use-placement.ts';

/** `#/placement?of=MODEL` */
export default function PlacementPage() {
  const models = useModels((state) => state.models);
  const loaded = useMemo(() => (models ?? []).filter((card) => card.state.state === 'loaded' && (card.inspection?.expertCount ?? 0) > 0), [models]);
  const wanted = useLocation().query.get('of');
  const card = loaded.find(({ id }) => id === wanted) ?? loaded[0];
  return (
    <PageFrame title="Placement">
      {card ? (
        <ModelPlacement key={card.id} card={card} loaded={loaded} />
      ) : (
        <EmptyState
          icon={Layers3}
          title="No model with experts is loaded"
          action={
            <Button variant="primary" onClick={() => navigate('models')}>
              Load a model
            </Button>
          }
        >
          Here you see which experts of the loaded model are in RAM and which are on disk, and how often a token finds the one that it needs.
        </EmptyState>
      )}
    </PageFrame>
  );
}

function ModelPlacement({ card, loaded }: { card: ModelCard; loaded: readonly ModelCard[] }) {
  const { placement, rates, history, configure } = usePlacement(card.id);
  return (
    <div className={style.view}>
      {loaded.length > 1 && (
        <Select<string>
          aria-label="Model"
          value={card.id}
          onChange={(of) => navigate('placement', [], { of })}
          options={loaded.map(({ id, name }) => ({ value: id, label: name }))}
        />
      )}
      {placement === null && <AllInMemory card={card} />}
      {placement && (
        <>
          <Summary store={placement.store} history={history} />
          <PlacementControls placement={placement} configure={configure} />
          <Tiers placement={placement} name={card.name} />
          <LossySection lossy={placement.store.lossy} configure={configure} />
          {placement.devices && <DeviceSection devices={placement.devices} rates={rates} configure={configure} />}
          <LayoutSection card={card} />
          <Section title="History" hint="Share of uses that found their expert in RAM, and bytes read from disk. Lines mark where RAM or policy were changed.">
            <PlacementChart history={history} />
          </Section>
          <Section title="Layers" hint="Since the model was loaded. A use is one expert of one batch.">
            <LayerTable layers={placement.store.layers} />
          </Section>
        </>
      )}
    </div>
  );
}

function AllInMemory({ card }: { card: ModelCard }) {
  return (
    <EmptyState
      icon={Layers3}
      title={`All experts of ${card.name} are in memory`}
      action={
        <Button variant="primary" onClick={() => navigate('models')}>
          Load options
        </Button>
      }
    >
      It fits, so nothing has to be read while it works. To keep only some of its experts in RAM and the others on disk, load it with “RAM for experts”; a model
      that does not fit is loaded so by itself.
    </EmptyState>
  );
}

function Summary({ store, history }: { store: ExpertStore; history: PlacementHistory }) {
  const rate = hitRateOf(store);
  const { latest } = history;
  const slots = store.layers.reduce((sum, layer) => sum + layer.slots, 0);
  const experts = store.layers.reduce((sum, layer) => sum + layer.tiers.length, 0);
  const uses = store.hits + store.late + store.misses;
  const percent = (value: number | null | undefined) => (value === null || value === undefined ? '–' : format.percent(value));
  return (
    <Figures
      figures={[
        { label: 'experts with room', value: `${slots} of ${experts}`, title: `${store.diskBytes} bytes of experts` },
        { label: 'RAM for them', value: format.bytes(store.ramBytes), title: `${store.ramBytes} bytes` },
        { label: 'hits, now', value: percent(latest?.hitRate), title: 'in the last half second' },
        { label: 'hits, since the load', value: percent(rate), title: `${store.hits} of ${uses} uses; ${store.late} more were on their way` },
        { label: 'read from disk', value: `${format.bytes(latest?.readRate ?? 0)}/s`, title: `${store.bytesRead} bytes in all` },
        { label: 'threads waiting', value: (latest?.waiting ?? 0).toFixed(2), title: `for the disk; ${Math.round(store.stalledMilliseconds)} ms in all` },
        {
          label: 'arrived in time',
          value: percent(store.bytesRead > 0 ? store.bytesHidden / store.bytesRead : null),
          title: `of the bytes read: before a thread had to wait for them; from ${store.layoutFile ?? 'the model file'}`,
        },
        ...prefetchFigures(store.prefetch),
      ]}
    />
  );
}

function Tiers({ placement, name }: { placement: ExpertPlacement; name: string }) {
  const [pinned, setPinned] = useState<Cell | null>(null);
  const source = useMemo(() => new TierGrid(placement), [placement]);
  return (
    <Section
      title="Experts"
      hint={`Rows are layers, columns experts.${source.marked.length > 0 ? ' Framed: super experts, whose outputs later layers lean on; they stay in RAM.' : ''}`}
    >
      <ExpertGrid
        label={`Places of the experts of ${name}`}
        source={source}
        scale="linear"
        top={highestTier(placement.devices)}
        valueText={tierText}
        layers={placement.store.layers.map(({ layer }) => layer)}
        cellText={(cell) => source.describe(cell)}
        marked={source.marked}
        pinned={pinned}
        onPin={setPinned}
      />
    </Section>
  );
}
