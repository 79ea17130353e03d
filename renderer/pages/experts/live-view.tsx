// The live grid with its controls, figures, history and exports.
import { Download, Grid3x3, Image, Table2 } from 'lucide-react';
import { type ReactNode, useCallback, useMemo, useState } from 'react';
import { usageBalance } from '../../../main/contract/experts-balance.ts';
import { Button, EmptyState, format, IconButton, Section, Segmented, Select, saveFile } from '../../components/index.ts';
import type { ScaleKind } from '../../experts/colour-scale.ts';
import { type Cell, ExpertGrid } from '../../experts/expert-grid.tsx';
import type { LiveUsage } from '../../experts/live-usage.ts';
import { type LiveScope as LiveScopeState, usageKey, useLiveUsage } from '../../experts/use-usage.ts';
import { navigate } from '../../shell/navigation.ts';
import { useCommands, useStores } from '../../stores/index.tsx';
import { BalanceTable } from './balance-table.tsx';
import style from './experts.module.css';
import { gridImage, usageCsv } from './export.ts';
import { HistoryChart } from './history-chart.tsx';
import { type ScopeChoice, ScopePicker, scopeValue, useScopes } from './scope-picker.tsx';
import { UsageTable } from './usage-table.tsx';

const halfLives = [1, 8, 60, Number.POSITIVE_INFINITY];
const halfLifeLabel = (seconds: number) => (seconds === Number.POSITIVE_INFINITY ? 'whole session' : `fades by half in ${seconds} s`);
const titleOf = (choice: ScopeChoice) => `Experts of ${choice.title}`;

/** `wanted`: the scope of the address, `chat:ID` or `model:ID`. */
export function LiveView({ wanted }: { wanted: string | null }) {
  const scopes = useScopes();
  const pick = (value: string) => navigate('experts', ['live'], { of: value });
  const choice = scopes.find((candidate) => scopeValue(candidate.scope) === wanted) ?? scopes[0];
  if (!choice) {
    return (
      <EmptyState
        icon={Grid3x3}
        title="Nothing to watch yet"
        action={
          <Button variant="primary" onClick={() => navigate('models')}>
            Load a model
          </Button>
        }
      >
        Load a model and send it a message: every token shows here which experts it went through, layer by layer.
      </EmptyState>
    );
  }
  return (
    <LiveScope
      key={scopeValue(choice.scope)}
      choice={choice}
      picker={<ScopePicker label="Counters of" scopes={scopes} value={scopeValue(choice.scope)} onChange={pick} />}
    />
  );
}

/** `layer 3 (block 4) · expert 17 · 2.10% of the layer · 412 tokens` */
export function describeCell(
  usage: { values: ArrayLike<number>; totals?: ArrayLike<number>; expertCount: number },
  moeLayers: readonly number[],
  { layer, expert }: Cell,
): string {
  const row = layer * usage.expertCount;
  let total = 0;
  for (let index = 0; index < usage.expertCount; index++) total += usage.values[row + index] ?? 0;
  const value = usage.values[row + expert] ?? 0;
  const share = total > 0 ? format.percent(value / total) : '–';
  const count = usage.totals ? ` · ${format.exact(usage.totals[row + expert] ?? 0)} tokens in all` : '';
  return `layer ${moeLayers[layer] ?? layer} · expert ${expert} · ${share} of the layer${count}`;
}

interface View {
  scale: ScaleKind;
  /** seconds */
  halfLife: number;
  asTable: boolean;
}

function LiveScope({ choice, picker }: { choice: ScopeChoice; picker: ReactNode }) {
  const { usage: hub } = useStores();
  const { usage, subscribe, version } = useLiveUsage(choice.scope);
  const [view, setView] = useState<View>({ scale: 'linear', halfLife: hub.halfLife, asTable: false });
  const change = (changed: Partial<View>) => {
    if (changed.halfLife !== undefined) hub.setHalfLife(changed.halfLife);
    setView((before) => ({ ...before, ...changed }));
  };
  useExportCommands(usage, choice);
  return (
    <div className={style.view}>
      <div className={style.controls}>
        {picker}
        <ViewControls view={view} onChange={change} />
        <span className={style.spring} />
        <Button icon={Download} disabled={!usage} onClick={() => usage && exportCsv(usage, choice)}>
          CSV
        </Button>
        <Button icon={Image} disabled={!usage} onClick={() => usage && void exportPng(usage, choice, view.scale)}>
          PNG
        </Button>
      </div>
      {!usage && <p className={style.waiting}>Nothing was counted yet. Send a message, and its tokens appear here as they are made.</p>}
      {usage && !view.asTable && <Grid usage={usage} choice={choice} scale={view.scale} subscribe={subscribe} />}
      {usage && view.asTable && <UsageTable caption={titleOf(choice)} usage={usage} moeLayers={choice.moeLayers} version={version} />}
      {usage?.faded && (
        <p className={style.waiting}>
          {format.exact(usage.tokens)} tokens were counted, and all have faded.{' '}
          <Button size="small" onClick={() => change({ halfLife: Number.POSITIVE_INFINITY })}>
            Show the whole session
          </Button>
        </p>
      )}
      {usage && <Figures usage={usage} choice={choice} version={version} />}
    </div>
  );
}

const scales = [
  { value: 'linear', label: 'Linear' },
  { value: 'log', label: 'Log' },
] as const;

function ViewControls({ view, onChange }: { view: View; onChange: (change: Partial<View>) => void }) {
  return (
    <>
      <Select
        aria-label="Half-life of the counters"
        value={String(view.halfLife)}
        onChange={(text) => onChange({ halfLife: Number(text) })}
        options={halfLives.map((seconds) => ({ value: String(seconds), label: halfLifeLabel(seconds) }))}
      />
      <Segmented label="Scale" value={view.scale} onChange={(scale) => onChange({ scale })} options={scales} />
      <IconButton
        label={view.asTable ? 'Show as a grid' : 'Show as a table'}
        icon={view.asTable ? Grid3x3 : Table2}
        pressed={view.asTable}
        onClick={() => onChange({ asTable: !view.asTable })}
      />
    </>
  );
}

function Grid({ usage, choice, scale, subscribe }: { usage: LiveUsage; choice: ScopeChoice; scale: ScaleKind; subscribe: LiveScopeState['subscribe'] }) {
  const [pinned, setPinned] = useState<Cell | null>(null);
  const cellText = useCallback((cell: Cell) => describeCell(usage, choice.moeLayers, cell), [usage, choice.moeLayers]);
  return (
    <ExpertGrid
      label={titleOf(choice)}
      source={usage}
      scale={scale}
      layers={choice.moeLayers}
      cellText={cellText}
      subscribe={subscribe}
      pinned={pinned}
      onPin={setPinned}
    />
  );
}

function Figures({ usage, choice, version }: { usage: LiveUsage; choice: ScopeChoice; version: number }) {
  // `version` says that the counters, which change in place, have changed
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const rows = useMemo(
    () => usageBalance({ moeLayers: rowLayers(usage, choice), expertCount: usage.expertCount, counts: usage.values }),
    [usage, choice, version],
  );
  return (
    <>
      <Section title="Balance" hint="Of the counters above. 1.00 max/mean is perfect balance; dead experts had no token at all.">
        <BalanceTable rows={rows} expertCount={usage.expertCount} />
      </Section>
      <Section title="History" hint="Means over the layers, of the last half hour. Drag to zoom, double-click to reset.">
        <HistoryChart usageKey={usageKey(choice.scope)} />
      </Section>
    </>
  );
}

const rowLayers = (usage: LiveUsage, choice: ScopeChoice) => Array.from({ length: usage.layerCount }, (_, row) => choice.moeLayers[row] ?? row);
const fileName = (choice: ScopeChoice, extension: string) => `experts-${choice.title.replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 40)}.${extension}`;

function exportCsv(usage: LiveUsage, choice: ScopeChoice): void {
  saveFile(fileName(choice, 'csv'), new Blob([usageCsv(usage, rowLayers(usage, choice))], { type: 'text/csv' }));
}

async function exportPng(usage: LiveUsage, choice: ScopeChoice, scale: ScaleKind): Promise<void> {
  saveFile(fileName(choice, 'png'), await gridImage(usage, rowLayers(usage, choice), scale, choice.title));
}

function useExportCommands(usage: LiveUsage | null, choice: ScopeChoice): void {
  const commands = useMemo(
    () =>
      usage === null
        ? []
        : [
            { id: 'experts.csv', title: 'Export expert counters as CSV', group: 'Experts', icon: Download, run: () => exportCsv(usage, choice) },
            { id: 'experts.png', title: 'Export the expert grid as PNG', group: 'Experts', icon: Image, run: () => void exportPng(usage, choice, 'linear') },
          ],
    [usage, choice],
  );
  useCommands(commands);
}
