import { expect, it } from 'vitest';
import type { LayoutState } from '../../../main/contract/index.ts';
import { createLayoutsStore } from '../../../renderer/stores/layouts.ts';
import { createNoticesStore } from '../../../renderer/stores/notices.ts';
import { CoreDouble } from './core-double.ts';

const layout = (changes: Partial<LayoutState> = {}): LayoutState => ({
  modelId: 'm',
  path: '/models/m.gguf.layout',
  bytes: null,
  used: false,
  fresh: false,
  needBytes: 1000,
  freeBytes: 5000,
  writing: null,
  declined: false,
  offered: false,
  problem: null,
  ...changes,
});

it('an offer is told once, and its buttons do what they say', async () => {
  const core = new CoreDouble();
  const notices = createNoticesStore(() => ({}));
  const store = createLayoutsStore(core, notices);
  core.send('layouts.changed', layout({ offered: true }));
  core.send('layouts.changed', layout({ offered: true, freeBytes: 4000 }));
  expect(notices.getState().toasts).toHaveLength(1);
  core.answers['layouts.write'] = () => layout({ writing: { fraction: 0, paused: false } });
  core.answers['layouts.decline'] = () => layout({ declined: true });
  const actions = notices.getState().toasts[0]?.actions ?? [];
  for (const label of ['Write it', 'Not for this model']) actions.find((action) => action.label === label)?.run();
  expect(core.calls).toEqual([
    { method: 'layouts.write', parameters: { modelId: 'm' } },
    { method: 'layouts.decline', parameters: { modelId: 'm' } },
  ]);
  await expect.poll(() => store.getState().layouts.m?.declined).toBe(true);
});

it('follows the core, and forgets models that were removed', () => {
  const core = new CoreDouble();
  const store = createLayoutsStore(
    core,
    createNoticesStore(() => ({})),
  );
  core.send('layouts.changed', layout({ writing: { fraction: 0.5, paused: true } }));
  expect(store.getState().layouts.m?.writing).toEqual({ fraction: 0.5, paused: true });
  core.send('models.removed', { id: 'm' });
  expect(store.getState().layouts).toEqual({});
});
