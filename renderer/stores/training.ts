// Training runs: the list, the newest first, and what can be done with one.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { CoreClient, RunState, TrainingDraft, TrainingRun } from '../../main/contract/index.ts';
import type { NoticesState } from './notices.ts';

export interface TrainingState {
  /** null until the core answered */
  runs: TrainingRun[] | null;
  fetch(): Promise<void>;
  /** rejects: the form shows why */
  create(draft: TrainingDraft): Promise<TrainingRun>;
  rename(id: string, name: string): Promise<void>;
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  stop(id: string): Promise<void>;
  /** by: places, -1 is sooner. Nothing if there is no such place. */
  move(id: string, by: number): Promise<void>;
  /** true: it is gone */
  delete(id: string): Promise<boolean>;
}

export function createTrainingStore(client: CoreClient, notices: StoreApi<NoticesState>): StoreApi<TrainingState> {
  const store = createStore<TrainingState>()((set) => {
    /** runs a call that answers with a run; what goes wrong is shown */
    const withRun = async (call: Promise<TrainingRun>): Promise<void> => {
      try {
        const run = await call;
        set(({ runs }) => ({ runs: withChanged(runs ?? [], run) }));
      } catch (error) {
        notices.getState().error(error);
      }
    };
    return {
      runs: null,
      fetch: async () => set({ runs: await client.call('training.list', {}) }),
      create: async (draft) => {
        const run = await client.call('training.create', draft);
        set(({ runs }) => ({ runs: withChanged(runs ?? [], run) }));
        return run;
      },
      rename: (id, name) => withRun(client.call('training.rename', { id, name })),
      pause: (id) => withRun(client.call('training.pause', { id })),
      resume: (id) => withRun(client.call('training.resume', { id })),
      stop: (id) => withRun(client.call('training.stop', { id })),
      move: async (id, by) => {
        const ids = queuedRuns(store.getState().runs ?? []).map((run) => run.id);
        const [from, to] = [ids.indexOf(id), ids.indexOf(id) + by];
        if (from < 0 || to < 0 || to >= ids.length) return;
        ids.splice(to, 0, ...ids.splice(from, 1));
        try {
          set({ runs: await client.call('training.reorder', { ids }) });
        } catch (error) {
          notices.getState().error(error);
        }
      },
      delete: async (id) => {
        try {
          await client.call('training.delete', { id });
          set(({ runs }) => ({ runs: (runs ?? []).filter((run) => run.id !== id) }));
          return true;
        } catch (error) {
          notices.getState().error(error);
          return false;
        }
      },
    };
  });
  client.on('training.changed', (run) => store.setState(({ runs }) => ({ runs: withChanged(runs ?? [], run) })));
  client.on('training.removed', ({ id }) => store.setState(({ runs }) => ({ runs: (runs ?? []).filter((run) => run.id !== id) })));
  return store;
}

function withChanged(runs: TrainingRun[], run: TrainingRun): TrainingRun[] {
  if (runs.some(({ id }) => id === run.id)) return runs.map((other) => (other.id === run.id ? run : other));
  return [run, ...runs].sort((a, b) => b.createdAt - a.createdAt);
}

/** The next one first. */
export const queuedRuns = (runs: readonly TrainingRun[]): TrainingRun[] =>
  runs.filter(({ state }) => state === 'queued').sort((a, b) => (a.queuePlace ?? 0) - (b.queuePlace ?? 0));

export const isAtWork = ({ state }: { state: RunState }): boolean => state === 'preparing' || state === 'running' || state === 'pausing';
