// Two conversations (or models of one shape) side by side, with the divergence of every layer.
import { Columns2 } from 'lucide-react';
import { useCallback, useMemo, useState } from 'react';
import { type Column, EmptyState, Section, Segmented, Table } from '../../components/index.ts';
import type { ScaleKind } from '../../experts/colour-scale.ts';
import { type Cell, ExpertGrid, type GridSource } from '../../experts/expert-grid.tsx';
import type { LiveUsage } from '../../experts/live-usage.ts';
import { type LiveScope, useLiveUsage } from '../../experts/use-usage.ts';
import { layerDivergences } from './divergence.ts';
import style from './experts.module.css';
import { describeCell } from './live-view.tsx';
import { type ScopeChoice, ScopePicker, scopeValue, useScopes } from './scope-picker.tsx';

export function CompareView() {
  const scopes = useScopes().filter(({ scope }) => scope.kind === 'chat');
  const [values, setValues] = useState<[string?, string?]>([]);
  const find = (side: 0 | 1) => scopes.find(({ scope }) => scopeValue(scope) === values[side]) ?? scopes[side];
  const [left, right] = [find(0), find(1)];
  const leftUsage = useLiveUsage(left?.scope ?? null);
  const rightUsage = useLiveUsage(right?.scope ?? null);
  const [scale, setScale] = useState<ScaleKind>('linear');
  if (!left || !right) {
    return (
      <EmptyState icon={Columns2} title="Two conversations are needed">
        Once there are two, their experts stand side by side here: the same layers, the same scale, and how far apart they are.
      </EmptyState>
    );
  }
  const pick = (side: 0 | 1) => (value: string) => setValues((before) => (side === 0 ? [value, before[1]] : [before[0], value]));
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
      </div>
      <div className={style.sides}>
        <Side name="First conversation" choice={left} scopes={scopes} live={leftUsage} scale={scale} onPick={pick(0)} />
        <Side name="Second conversation" choice={right} scopes={scopes} live={rightUsage} scale={scale} onPick={pick(1)} />
      </div>
      <Divergence left={leftUsage} right={rightUsage} moeLayers={left.moeLayers} />
    </div>
  );
}

interface SideProps {
  name: string;
  choice: ScopeChoice;
  scopes: readonly ScopeChoice[];
  live: LiveScope;
  scale: ScaleKind;
  onPick: (value: string) => void;
}

function Side({ name, choice, scopes, live, scale, onPick }: SideProps) {
  const { usage, subscribe } = live;
  const source = useMemo(() => usage && totalsOf(usage), [usage]);
  const cellText = useCallback((cell: Cell) => (source ? describeCell(source, choice.moeLayers, cell) : ''), [source, choice.moeLayers]);
  return (
    <div>
      <ScopePicker label={name} scopes={scopes} value={scopeValue(choice.scope)} onChange={onPick} />
      {source ? (
        <ExpertGrid label={`${name}: ${choice.title}`} source={source} scale={scale} cellText={cellText} subscribe={subscribe} />
      ) : (
        <p className={style.waiting}>Nothing was counted for this conversation yet.</p>
      )}
    </div>
  );
}

/** Comparisons are about all that was counted, without fading. */
function totalsOf(usage: LiveUsage): GridSource {
  return { layerCount: usage.layerCount, expertCount: usage.expertCount, values: usage.totals, quiet: true };
}

interface DivergenceRow {
  layer: number;
  bits: number | null;
}

const columns: Column<DivergenceRow>[] = [
  { id: 'layer', header: 'Layer', cell: (row) => row.layer, sort: (row) => row.layer, align: 'right' },
  {
    id: 'bits',
    header: 'Jensen-Shannon divergence, bits',
    cell: (row) => (row.bits === null ? '–' : <span title={String(row.bits)}>{row.bits.toFixed(3)}</span>),
    sort: (row) => row.bits ?? -1,
    align: 'right',
  },
];

function Divergence({ left, right, moeLayers }: { left: LiveScope; right: LiveScope; moeLayers: readonly number[] }) {
  const [a, b] = [left.usage, right.usage];
  if (!a || !b) return null;
  if (a.layerCount !== b.layerCount || a.expertCount !== b.expertCount) {
    return <p className={style.waiting}>These conversations used models of different shape, so their layers cannot be compared one by one.</p>;
  }
  const rows = layerDivergences(a.totals, b.totals, a.expertCount).map((bits, row) => ({ layer: moeLayers[row] ?? row, bits }));
  return (
    <Section title="How far apart" hint="0: both use a layer’s experts in the same shares. 1: they share none.">
      <Table caption="Divergence of every layer" columns={columns} rows={rows} rowKey={(row) => String(row.layer)} />
    </Section>
  );
}
