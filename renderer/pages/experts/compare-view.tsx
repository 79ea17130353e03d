// Two conversations side by side: shares of every layer's load on one scale, and the divergence of every layer.
import { Columns2 } from 'lucide-react';
import { useCallback, useMemo, useState } from 'react';
import { type Column, EmptyState, format, Section, Segmented, Table } from '../../components/index.ts';
import { largestOf, type ScaleKind } from '../../experts/colour-scale.ts';
import { type Cell, ExpertGrid, type GridSource } from '../../experts/expert-grid.tsx';
import type { LiveUsage } from '../../experts/live-usage.ts';
import { useLiveUsage } from '../../experts/use-usage.ts';
import { navigate } from '../../shell/navigation.ts';
import { layerDivergences, layerShares } from './divergence.ts';
import style from './experts.module.css';
import { describeCell } from './live-view.tsx';
import { type ScopeChoice, ScopePicker, scopeValue, useScopes } from './scope-picker.tsx';

/** Ids of the conversations; those missing are the newest ones. */
export function CompareView({ left: leftId, right: rightId }: { left: string | null; right: string | null }) {
  const scopes = useScopes().filter(({ scope }) => scope.kind === 'chat');
  const byId = (id: string | null) => scopes.find(({ scope }) => scope.id === id);
  const left = byId(leftId) ?? scopes.find((choice) => choice !== byId(rightId));
  const right = byId(rightId) ?? scopes.find((choice) => choice !== left);
  if (!left || !right) {
    return (
      <EmptyState icon={Columns2} title="Two conversations are needed">
        Once there are two, their experts stand side by side here: the same layers, the same scale, and how far apart they are.
      </EmptyState>
    );
  }
  return <Comparison left={left} right={right} scopes={scopes} />;
}

function Comparison({ left, right, scopes }: { left: ScopeChoice; right: ScopeChoice; scopes: readonly ScopeChoice[] }) {
  const [scale, setScale] = useState<ScaleKind>('linear');
  const leftShares = useShares(left);
  const rightShares = useShares(right);
  const top = Math.max(leftShares ? largestOf(leftShares.values) : 0, rightShares ? largestOf(rightShares.values) : 0);
  const show = (a: string, b: string) => navigate('experts', ['compare'], { left: a, right: b });
  return (
    <div className={style.view}>
      <div className={style.controls}>
        <Segmented
          label="Scale"
          value={scale}
          onChange={setScale}
          options={[
            { value: 'linear', label: 'Linear' },
            { value: 'log', label: 'Log' },
          ]}
        />
        <span className={style.waiting}>All tokens of each conversation, as shares of a layer’s load; both grids have one scale.</span>
      </div>
      <div className={style.sides}>
        <Side name="First conversation" choice={left} {...{ scopes, scale, top }} shares={leftShares} onPick={(id) => show(id, right.scope.id)} />
        <Side name="Second conversation" choice={right} {...{ scopes, scale, top }} shares={rightShares} onPick={(id) => show(left.scope.id, id)} />
      </div>
      <Divergence left={leftShares} right={rightShares} moeLayers={left.moeLayers} />
    </div>
  );
}

interface Shares extends GridSource {
  usage: LiveUsage;
}

/** Shares of each layer's load, of all that the scope has counted. */
function useShares({ scope }: ScopeChoice): Shares | null {
  const { usage, version } = useLiveUsage(scope);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` says that the counters, which change in place, have changed
  return useMemo(
    () => usage && { usage, layerCount: usage.layerCount, expertCount: usage.expertCount, values: layerShares(usage.totals, usage.expertCount), quiet: true },
    [usage, version],
  );
}

interface SideProps {
  name: string;
  choice: ScopeChoice;
  scopes: readonly ScopeChoice[];
  shares: Shares | null;
  scale: ScaleKind;
  top: number;
  onPick: (id: string) => void;
}

function Side({ name, choice, scopes, shares, scale, top, onPick }: SideProps) {
  const cellText = useCallback(
    (cell: Cell) => {
      if (!shares) return '';
      const { expertCount, usage } = shares;
      return describeCell({ expertCount, values: usage.totals, totals: usage.totals }, choice.moeLayers, cell);
    },
    [shares, choice.moeLayers],
  );
  return (
    <div>
      <ScopePicker label={name} scopes={scopes} value={scopeValue(choice.scope)} onChange={(value) => onPick(value.replace(/^chat:/, ''))} />
      {shares ? (
        <ExpertGrid
          label={`${name}: ${choice.title}`}
          source={shares}
          scale={scale}
          layers={choice.moeLayers}
          cellText={cellText}
          top={top}
          valueText={format.percent}
        />
      ) : (
        <p className={style.waiting}>Nothing was counted for this conversation yet.</p>
      )}
    </div>
  );
}

interface DivergenceRow {
  layer: number;
  bits: number | null;
}

const columns: Column<DivergenceRow>[] = [
  { id: 'layer', header: 'Layer', cell: (row) => row.layer, sort: (row) => row.layer, align: 'right', width: '80px' },
  {
    id: 'bits',
    header: 'Jensen-Shannon divergence, bits',
    cell: (row) => (row.bits === null ? '–' : <DivergenceBar bits={row.bits} />),
    sort: (row) => row.bits ?? -1,
  },
];

function DivergenceBar({ bits }: { bits: number }) {
  return (
    <span className={style.divergence} title={String(bits)}>
      {bits.toFixed(3)}
      <span aria-hidden className={style.track}>
        <span style={{ width: format.percent(bits) }} />
      </span>
    </span>
  );
}

function Divergence({ left, right, moeLayers }: { left: Shares | null; right: Shares | null; moeLayers: readonly number[] }) {
  if (!left || !right) return null;
  if (left.layerCount !== right.layerCount || left.expertCount !== right.expertCount) {
    return <p className={style.waiting}>These conversations used models of different shape, so their layers cannot be compared one by one.</p>;
  }
  const rows = layerDivergences(left.usage.totals, right.usage.totals, left.expertCount).map((bits, row) => ({ layer: moeLayers[row] ?? row, bits }));
  return (
    <Section title="How far apart" hint="0: both use a layer’s experts in the same shares. 1: they share none.">
      <Table className={style.narrow} caption="Divergence of every layer" columns={columns} rows={rows} rowKey={(row) => String(row.layer)} />
    </Section>
  );
}
