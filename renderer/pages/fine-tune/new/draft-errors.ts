// What keeps a run from being begun, at its field and with the numbers.
import type { DatasetReport, ErrorBody, Inspection, Recipe } from '../../../../main/contract/index.ts';
import { adapterParts, wholeParts, whyNot, whyNotWhole } from './adapter-parts.ts';
import { DEFAULT_BATCH_TOKENS, hasDecay, learnsPreferences, MIXTURE_EXPERTS, MIXTURE_USED, type RunDraft } from './run-draft.ts';

export type DraftField = 'files' | 'adapter' | 'router' | 'mixture' | 'drawn' | 'devices' | 'warmupSteps' | 'decaySteps' | 'batchSequences' | 'batchTokens';
export type DraftErrors = Partial<Record<DraftField, string>>;

/** What the draft is judged by. */
export interface DraftFacts {
  /** why the data cannot be read as it is chosen now */
  dataError: ErrorBody | null;
  /** of the data; null: not read yet */
  report: DatasetReport | null;
  /** of the base; null: not looked at yet */
  inspection: Inspection | null;
  /** ids of what the engine can compute on; empty: it has not said yet */
  devices: readonly string[];
}

export function draftErrors({ plan }: RunDraft, { dataError, report, inspection, devices }: DraftFacts): DraftErrors {
  const { data } = plan;
  const room = plan.batchTokens ?? DEFAULT_BATCH_TOKENS;
  const limit = data.maxTokens ?? 0;
  return {
    ...(data.files.length === 0 && { files: 'Add a file with examples first.' }),
    ...(dataError &&
      dataError.code !== 'cancelled' && {
        files: dataError.code === 'dataset.format-unsure' ? 'Say first how the rows are meant.' : 'This data cannot be used; see below.',
      }),
    ...mixedError(report),
    ...adapterErrors(plan.adapter, inspection),
    ...drawnErrors(plan, inspection),
    ...deviceErrors(plan.devices, inspection, devices),
    ...(limit > room && { batchTokens: `An example may have ${limit} tokens, and a batch has room for ${room}: give it more, or cut examples to less.` }),
    ...scheduleErrors(plan.schedule),
  };
}

function mixedError(report: DatasetReport | null): DraftErrors {
  if (report === null || learnsPreferences(report) !== 'partly') return {};
  const { kinds, good } = report;
  const files = `${kinds.preference} of the ${good} examples are preference pairs: a run learns either from pairs (DPO) or from the others. Take the files of one kind out.`;
  return { files };
}

function adapterErrors(adapter: Recipe['adapter'], inspection: Inspection | null): DraftErrors {
  const chosen = adapterParts.filter(({ part }) => adapter[part] !== undefined);
  const whole = wholeParts.filter(({ part }) => adapter[part]);
  const { expertCount = MIXTURE_EXPERTS, expertUsedCount = MIXTURE_USED } = adapter.mixture ?? {};
  const reasons = inspection && [
    ...chosen.map(({ part, label }) => ({ label, reason: whyNot(part, inspection) })),
    ...whole.map(({ part, label }) => ({ label: `${label}, whole`, reason: whyNotWhole(part, inspection) })),
  ];
  const impossible = reasons?.flatMap(({ label, reason }) => (reason ? [`${label}: ${reason}.`] : [])) ?? [];
  return {
    ...(chosen.length + whole.length === 0 && { adapter: 'Nothing would be trained: choose at least one part of the model.' }),
    ...(impossible.length > 0 && { adapter: `${impossible.join(' ')} Untick it.` }),
    ...(adapter.wholeRouter && adapter.router && { router: 'The router is trained whole or with an adapter, not both.' }),
    ...(adapter.mixture && adapter.ffn && { mixture: 'The dense FFN gets one adapter or a mixture of them, not both.' }),
    ...(expertUsedCount > expertCount && { mixture: `A token would use ${expertUsedCount} experts of a mixture, which has ${expertCount}.` }),
  };
}

function drawnErrors({ expertUsedCount: drawn, adapter }: Recipe, inspection: Inspection | null): DraftErrors {
  if (!drawn || inspection === null) return {};
  const experts = adapter.mixture ? (adapter.mixture.expertCount ?? MIXTURE_EXPERTS) : inspection.expertCount;
  if (experts === 0) return { drawn: 'This model has no experts whose number could be drawn.' };
  if (drawn.max > experts) return { drawn: `A token would use up to ${drawn.max} experts, and a layer has ${experts}.` };
  return drawn.min > drawn.max ? { drawn: `A token would use at least ${drawn.min} experts and at most ${drawn.max}.` } : {};
}

function deviceErrors(devices: Recipe['devices'], inspection: Inspection | null, known: readonly string[]): DraftErrors {
  const chosen = devices?.experts ?? [];
  const experts = inspection?.expertCount ?? 0;
  if (chosen.length === 0 || inspection === null) return {};
  if (experts === 0) return { devices: 'This model has no experts to place: untick the devices.' };
  const gone = chosen.filter(({ device }) => known.length > 0 && !known.includes(device));
  if (gone.length > 0) return { devices: `${gone.map(({ device }) => device).join(', ')} is not there now: untick it.` };
  const slots = chosen.reduce((sum, each) => sum + Math.min(experts, each.slots ?? usualSlots(experts, chosen.length)), 0);
  if (slots >= experts) return {};
  return { devices: `The devices have slots for ${slots} experts of a layer in all, and the model has ${experts}: give them more.` };
}

/** Slots of a device where nothing is said (native/train/run/run-settings.cpp). */
export const usualSlots = (experts: number, devices: number): number => (devices < 2 ? experts : Math.min(experts, Math.ceil((5 * experts) / (4 * devices))));

function scheduleErrors({ kind, steps, warmupSteps = 0, decaySteps = 0, batchSequences = 0 }: Recipe['schedule']): DraftErrors {
  const left = steps - Math.min(steps, warmupSteps);
  return {
    ...(warmupSteps > steps && { warmupSteps: `The warm-up has ${warmupSteps} steps, and the run only ${steps}.` }),
    ...(hasDecay(kind) &&
      decaySteps > left && { decaySteps: `The decay has ${decaySteps} steps, and the run of ${steps} has ${left} left behind the warm-up.` }),
    ...(kind === 'power' && batchSequences < 1 && { batchSequences: 'The power schedule needs to know how many examples a step has: 1 or more.' }),
  };
}
