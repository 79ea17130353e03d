import { expect, it } from 'vitest';
import { MoebiusError, type TrainingRun } from '../../../main/contract/index.ts';
import { createNoticesStore } from '../../../renderer/stores/notices.ts';
import { createTrainingStore } from '../../../renderer/stores/training.ts';
import { CoreDouble } from './core-double.ts';

const run = (id: string, createdAt: number, changes: Partial<TrainingRun> = {}): TrainingRun => ({
  id,
  name: id,
  modelId: 'm',
  modelPath: '/m.gguf',
  folder: `/runs/${id}`,
  plan: { data: { files: ['/a'] }, adapter: {}, schedule: { steps: 10 } },
  state: 'queued',
  queuePlace: createdAt,
  interrupted: false,
  preparing: null,
  progress: { step: 0, loss: null, validationLoss: null, learningRate: null, tokensPerSecond: null, secondsLeft: null, memoryBytes: null },
  steps: 10,
  trained: null,
  unmoved: [],
  error: null,
  createdAt,
  startedAt: null,
  endedAt: null,
  ...changes,
});

function makeStore() {
  const core = new CoreDouble();
  const notices = createNoticesStore(() => ({}));
  return { core, notices, store: createTrainingStore(core, notices) };
}

it('follows the core, the newest run first', () => {
  const { core, store } = makeStore();
  core.send('training.changed', run('a', 1));
  core.send('training.changed', run('b', 2));
  core.send('training.changed', run('a', 1, { state: 'running' }));
  expect(store.getState().runs?.map(({ id, state }) => [id, state])).toEqual([
    ['b', 'queued'],
    ['a', 'running'],
  ]);
  core.send('training.removed', { id: 'b' });
  expect(store.getState().runs?.map(({ id }) => id)).toEqual(['a']);
});

it('takes a run as an action leaves it, and tells why one failed', async () => {
  const { core, notices, store } = makeStore();
  core.answers['training.list'] = () => [run('a', 1, { state: 'running' })];
  await store.getState().fetch();
  core.answers['training.pause'] = () => run('a', 1, { state: 'paused' });
  await store.getState().pause('a');
  expect(store.getState().runs?.[0]?.state).toBe('paused');
  core.answers['training.delete'] = () => {
    throw new MoebiusError('file.unwritable', 'The folder cannot be deleted.');
  };
  expect(await store.getState().delete('a')).toBe(false);
  expect(notices.getState().toasts[0]?.title).toBe('The folder cannot be deleted.');
  expect(store.getState().runs).toHaveLength(1);
  core.answers['training.delete'] = () => ({});
  expect(await store.getState().delete('a')).toBe(true);
  expect(store.getState().runs).toEqual([]);
});

it('a refused run is the form’s to tell', async () => {
  const { core, notices, store } = makeStore();
  core.answers['training.create'] = () => {
    throw new MoebiusError('request.invalid', 'No.');
  };
  await expect(store.getState().create({ modelId: 'm', plan: run('a', 1).plan })).rejects.toThrow('No.');
  expect(notices.getState().toasts).toEqual([]);
});

it('moves a queued run by a place in the order in which they wait', async () => {
  const { core, store } = makeStore();
  core.answers['training.list'] = () => [
    run('a', 1, { state: 'running', queuePlace: null }),
    run('b', 2, { queuePlace: 7 }),
    run('c', 3, { queuePlace: 5 }),
    run('d', 4, { queuePlace: 9 }),
  ];
  await store.getState().fetch();
  const asked: unknown[] = [];
  core.answers['training.reorder'] = (parameters) => {
    asked.push(parameters);
    return [run('b', 2, { queuePlace: 0 })];
  };
  await store.getState().move('c', -1); // it is the next one already
  await store.getState().move('a', 1); // it does not wait
  expect(asked).toEqual([]);
  await store.getState().move('b', -1);
  expect(asked).toEqual([{ ids: ['b', 'c', 'd'] }]);
  expect(store.getState().runs?.map(({ id }) => id)).toEqual(['b']);
});
