// Plans of models that are not loaded yet: with which options the engine is asked, and that only the latest question of a ticket is worked on.
import { expect, it, vi } from 'vitest';
import { openLibrary } from './support.ts';

it('asks with the defaults of settings and model, or with the settings’ alone when the options are all that counts', async () => {
  const test = await openLibrary();
  await test.settings.set({ threads: 3 });
  await test.library.handlers['models.setDefaults']({ id: 'tiny-moe', defaults: { load: { contextLength: 99 } } });
  const { handlers } = test.library;
  const proposal = { id: 'tiny-moe', options: { batch: 8 } };
  await handlers['models.plan']({ ...proposal, ticket: 'a' });
  await handlers['models.plan']({ ...proposal, ticket: 'a', exact: true });
  await handlers['models.estimate']({ ...proposal, exact: true });
  const asked = test.engine.calls.filter(({ method }) => method === 'plan.make' || method === 'model.estimate').map(({ parameters }) => parameters);
  expect(asked).toEqual([
    { path: test.embedded, options: { threads: 3, contextLength: 99, batch: 8 } },
    { path: test.embedded, options: { threads: 3, batch: 8 } },
    { path: test.embedded, options: { threads: 3, batch: 8 } },
  ]);
});

it('gives up a plan when its ticket asks anew or cancels, and no other', async () => {
  const test = await openLibrary();
  const held: AbortSignal[] = [];
  test.engine.heldPlans = held;
  const ask = (ticket: string) => test.library.handlers['models.plan']({ id: 'tiny-moe', ticket });
  const first = expect(ask('a')).rejects.toMatchObject({ code: 'cancelled' });
  await vi.waitFor(() => expect(held).toHaveLength(1));
  const second = expect(ask('a')).rejects.toMatchObject({ code: 'cancelled' });
  const other = expect(ask('b')).rejects.toMatchObject({ code: 'cancelled' });
  await first;
  await vi.waitFor(() => expect(held).toHaveLength(3));
  expect(held.map(({ aborted }) => aborted)).toEqual([true, false, false]);
  await test.library.handlers['models.cancelPlan']({ ticket: 'a' });
  await second;
  expect(held.map(({ aborted }) => aborted)).toEqual([true, true, false]);
  await test.library.dispose();
  await other;
  await test.library.handlers['models.cancelPlan']({ ticket: 'nobody' });
});
