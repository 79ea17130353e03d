// Leads a training run: asks the engine for step after step, looks at the validation part, saves, and goes on where it stopped.
import type { RunEvent } from '../../contract/training-runs.ts';
import type { Engine } from '../../engine/engine.ts';
import { processMemory } from '../../engine/process-memory.ts';
import type { Recipe } from '../../engine/train-protocol.ts';
import type { Checkpoints } from './checkpoints.ts';

export interface ConductedRun {
  engine: Engine;
  settings: Recipe & { model: string; data: string };
  checkpoints: Checkpoints;
  /** steps; 0: only at the end */
  validateEvery: number;
  saveEvery: number;
  saveFirst: boolean;
  /** the validation part was looked at behind this step in an earlier life */
  isValidated: (step: number) => boolean;
  /** share of the data's sample that experts are chosen by */
  onChoosing(fraction: number): void;
  /** stops behind the step that is under way, with a checkpoint */
  signal: AbortSignal;
}

/**
 * What happens, in order. Begins with the newest checkpoint of `checkpoints`, if there is one. When the signal is aborted the step under way is not made, what was done
 * is saved, and the signal's reason is thrown. Throws what `train.*` of the engine does.
 */
export async function* conduct(run: ConductedRun): AsyncGenerator<RunEvent> {
  const { engine, settings, checkpoints, signal } = run;
  const began = performance.now();
  const [newest] = await checkpoints.list();
  const from = newest && { checkpoint: newest.path };
  const { run: id, ...opened } = await engine.call('train.open', { settings, ...from }, { signal, onProgress: ({ fraction }) => run.onChoosing(fraction) });
  let saved = newest?.step ?? -1;
  let step = opened.step;
  let measured = -1;
  async function* save(): AsyncGenerator<RunEvent> {
    if (saved === step) return;
    const { path } = await engine.call('train.save', { run: id, path: await checkpoints.pathFor(step) });
    saved = step;
    await checkpoints.prune();
    yield { event: 'saved', step, path };
    yield* measure();
  }
  /** Whenever something is looked at anyway, and behind the first step: what stays where it was is to be seen at once. */
  async function* measure(): AsyncGenerator<RunEvent> {
    if (measured === step) return;
    measured = step;
    yield { event: 'movement', step, ...(await engine.call('train.movement', { run: id })) };
  }
  async function* validate(): AsyncGenerator<RunEvent> {
    if (opened.validates) yield { event: 'validation', step, ...(await engine.call('train.validate', { run: id }, { signal })) };
    yield* measure();
  }
  const isDue = (every: number) => every > 0 && step % every === 0;
  const isValidationDue = () => isDue(run.validateEvery) || step === opened.steps;
  try {
    yield { event: 'opened', resumed: newest?.path ?? null, ...opened };
    if (step === 0 && run.saveFirst) yield* save();
    if ((step === 0 || isValidationDue()) && !run.isValidated(step)) yield* validate(); // a life that was told to end may have saved without
    while (step < opened.steps) {
      const report = await engine.call('train.step', { run: id }, { signal });
      step = report.step;
      yield { event: 'step', ...report, memoryBytes: await processMemory(engine.status.processId) };
      if (step === 1) yield* measure();
      if (isValidationDue()) yield* validate();
      if (isDue(run.saveEvery) || step === opened.steps) yield* save();
    }
    yield { event: 'ended', step, seconds: (performance.now() - began) / 1000 };
  } catch (error) {
    if (!signal.aborted) throw error;
    if (step > 0) yield* save();
    throw signal.reason;
  } finally {
    await engine.call('train.close', { run: id }).catch(() => undefined); // the engine may be gone
  }
}
