// Experts of a run: how many tokens each got, and how far each one's adapter has moved.
import { useMemo, useState } from 'react';
import { Section, Segmented } from '../../../components/index.ts';
import { type Cell, ExpertGrid } from '../../../experts/expert-grid.tsx';
import { describeLoad, describeMovement, loadGrid, type Matrix, movedMatrices, movementGrid, unmovedCells } from '../run-grids.ts';
import style from './run.module.css';
import type { RunHistory } from './run-history.ts';

export function RunExperts({ name, history, version }: { name: string; history: RunHistory; version: number }) {
  return (
    <div className={style.grids}>
      <Load name={name} history={history} version={version} />
      <Movement name={name} history={history} version={version} />
    </div>
  );
}

type Span = 'last' | 'total';
const spans: { value: Span; label: string }[] = [
  { value: 'last', label: 'This step' },
  { value: 'total', label: 'All steps' },
];

interface PartProps {
  name: string;
  history: RunHistory;
  version: number;
}

function Load({ name, history, version }: PartProps) {
  const [span, setSpan] = useState<Span>('last');
  const [pinned, setPinned] = useState<Cell | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` says that the history, which changes in place, has changed
  const grid = useMemo(() => loadGrid(history.expertTokens?.[span] ?? []), [history, span, version]);
  return (
    <Section
      title="Expert load"
      hint="Tokens that each expert was given. Rows are layers, columns experts."
      actions={<Segmented label="Tokens of" value={span} onChange={setSpan} options={spans} />}
    >
      {grid ? (
        <ExpertGrid
          label={`Tokens of each expert of ${name}`}
          source={grid}
          scale="linear"
          layers={grid.layers}
          cellText={(cell) => describeLoad(grid, cell, span === 'last' ? 'of this step' : 'so far')}
          pinned={pinned}
          onPin={setPinned}
        />
      ) : (
        <p className={style.waiting}>Appears with the first step of a model with experts.</p>
      )}
    </Section>
  );
}

const TOGETHER = 'together';
const matrixOptions = (matrices: Matrix[]) => [
  { value: TOGETHER as Matrix | typeof TOGETHER, label: 'Together' },
  ...matrices.map((value) => ({ value, label: value })),
];

function Movement({ name, history, version }: PartProps) {
  const [shown, setShown] = useState<Matrix | typeof TOGETHER>(TOGETHER);
  const [pinned, setPinned] = useState<Cell | null>(null);
  const { movement } = history;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` says that the history, which changes in place, has changed
  const matrices = useMemo(() => movedMatrices(movement?.tensors ?? []), [movement, version]);
  const grid = useMemo(() => movementGrid(movement?.tensors ?? [], shown === TOGETHER ? null : shown), [movement, shown]);
  return (
    <Section
      title="Expert movement"
      hint={movement ? `How far each expert’s adapter has gone, at step ${movement.step}.` : 'How far each expert’s adapter has gone.'}
      actions={matrices.length > 1 && <Segmented label="Matrices" value={shown} onChange={setShown} options={matrixOptions(matrices)} />}
    >
      {grid ? (
        <>
          <ExpertGrid
            label={`Movement of each expert of ${name}`}
            source={grid}
            scale="linear"
            layers={grid.layers}
            cellText={(cell) => describeMovement(grid, cell)}
            pinned={pinned}
            onPin={setPinned}
            marked={unmovedCells(grid)}
          />
          <Unmoved cells={unmovedCells(grid)} all={grid.values.length} />
        </>
      ) : (
        <p className={style.waiting}>Measured with every checkpoint, when experts have adapters.</p>
      )}
    </Section>
  );
}

function Unmoved({ cells, all }: { cells: readonly Cell[]; all: number }) {
  return (
    <p className={style.waiting}>
      {cells.length === 0
        ? `All ${all} have moved.`
        : `${cells.length} of ${all} have not moved: no token went to them yet, or they are frozen. They are framed.`}
    </p>
  );
}
