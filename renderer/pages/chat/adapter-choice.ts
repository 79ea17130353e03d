// Which adapters a conversation has on, as its control shows them.
import type { AdapterChoice, ModelAdapter, TrainingRun } from '../../../main/contract/index.ts';

export interface AdapterRow {
  id: string;
  name: string;
  /** null: it is gone, and replies are refused until it is taken out */
  adapter: ModelAdapter | null;
  on: boolean;
  /** what it has, or would have when it is switched on */
  scale: number;
}

const STANDARD = 1;

/** undefined choices: as the adapters themselves are set. Gone adapters that are chosen come last. */
export function adapterRows(adapters: readonly ModelAdapter[], choices: readonly AdapterChoice[] | undefined, known: ReadonlySet<string>): AdapterRow[] {
  const rows = adapters.map((adapter) => {
    const scale = choices ? (choices.find(({ id }) => id === adapter.id)?.scale ?? 0) : adapter.scale;
    return { id: adapter.id, name: adapter.name, adapter, on: scale !== 0, scale: scale || STANDARD };
  });
  const gone = (choices ?? []).filter(({ id }) => !known.has(id));
  return [...rows, ...gone.map(({ id, scale }) => ({ id, name: id, adapter: null, on: true, scale }))];
}

/** The choices with one adapter at this scale; 0 takes it out. All others stay as they are. */
export function withAdapter(rows: readonly AdapterRow[], choices: readonly AdapterChoice[] | undefined, id: string, scale: number): AdapterChoice[] {
  const before = choices ?? rows.filter((row) => row.on).map((row) => ({ id: row.id, scale: row.scale }));
  const others = before.filter((choice) => choice.id !== id);
  return scale === 0 ? others : [...others, { id, scale }];
}

const RUNS_SHOWN = 5;

/** Finished runs of this model whose last adapter is not among its adapters yet, the newest first. What an adapter file has no place for is left out: mixtures, whole routers and norms. */
export function runsToAdd(runs: readonly TrainingRun[], modelId: string, adapters: readonly Pick<ModelAdapter, 'path'>[]): TrainingRun[] {
  const isKnown = ({ folder }: TrainingRun) => adapters.some(({ path }) => path.startsWith(folder));
  const isFile = ({ plan: { adapter } }: TrainingRun) => !adapter.mixture && !adapter.wholeRouter && !adapter.wholeNorms;
  return runs.filter((run) => run.state === 'done' && run.modelId === modelId && isFile(run) && !isKnown(run)).slice(0, RUNS_SHOWN);
}
