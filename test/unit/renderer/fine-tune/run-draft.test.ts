import { expect, it } from 'vitest';
import { newDraft, planText, stepsOfEpoch, toRequest, useRunDraft } from '../../../../renderer/pages/fine-tune/new/run-draft.ts';
import { ready, report, schedule } from './drafts.ts';

it('says how many steps an epoch has', () => {
  expect(stepsOfEpoch(ready().plan, null)).toBeNull();
  expect(stepsOfEpoch(ready().plan, report())).toBe(5); // 9,500 tokens, 2,048 a step
  expect(stepsOfEpoch(ready({ batchesPerStep: 8 }).plan, report())).toBe(1);
});

it('says what will be done', () => {
  const adapter = { attention: { loraRank: 8 }, experts: { loraRank: 4 }, wholeNorms: true, wholeHead: true };
  expect(planText(ready({ adapter, batchTokens: 512, batchesPerStep: 2 }), null)).toBe(
    '200 steps of 1024 tokens · attention rank 8 · experts rank 4 · norms · head',
  );
  const mixture = { loraRank: 8, expertCount: 4 };
  expect(planText(ready({ adapter: { mixture } }), null)).toBe('200 steps of 2048 tokens · mixture of 4, rank 8');
});

it('asks the core only for settings that belong to the schedule and the optimiser', () => {
  const optimiser = { kind: 'sgd' as const, momentum: 0.9, beta1: 0.5 };
  const draft = ready({ optimiser, schedule: { ...schedule, decaySteps: 20, powerA: 1 } });
  const { plan, modelId, name } = toRequest({ ...draft, name: '  ' }, 'tiny', null);
  expect([plan.optimiser, plan.schedule, modelId, name]).toEqual([{ kind: 'sgd', momentum: 0.9 }, schedule, 'tiny', undefined]);
  const routerGradient = { kind: 'default-moe' as const, reach: 0.1, beta: 0.8 };
  expect(toRequest(ready({ routerGradient }), 'tiny', null).plan.routerGradient).toEqual({ kind: 'default-moe', beta: 0.8 });
  expect(toRequest(ready({ schedule: { ...schedule, kind: 'wsd', decaySteps: 20, powerA: 1 } }), 'tiny', null).plan.schedule).toEqual({
    ...schedule,
    kind: 'wsd',
    decaySteps: 20,
  });
});

it('a recipe leaves the data, and an emptied field its default', () => {
  const { changeData, changePlan, takeRecipe } = useRunDraft.getState();
  changeData({ files: ['/a'], maxTokens: 5 });
  changeData({ maxTokens: undefined });
  changePlan({ clip: 2 });
  changePlan({ clip: undefined });
  expect(useRunDraft.getState().draft.plan).not.toHaveProperty('clip');
  const { data: _, ...plan } = newDraft().plan;
  takeRecipe({ id: 'quick', name: 'Quick', note: '', plan: { ...plan, batchTokens: 99 } });
  expect(useRunDraft.getState().draft).toMatchObject({ recipeId: 'quick', plan: { data: { files: ['/a'] }, batchTokens: 99 } });
});

it('leaves the objective to the data, and its settings out where it has no pairs', () => {
  const draft = ready({ objective: 'dpo', dpo: { beta: 0.2 } });
  const pairs = report({ kinds: { conversation: 0, text: 0, preference: 100 } });
  expect(toRequest(draft, 'tiny', pairs).plan).toMatchObject({ dpo: { beta: 0.2 } });
  expect(toRequest(draft, 'tiny', pairs).plan).not.toHaveProperty('objective');
  expect(toRequest(draft, 'tiny', report()).plan).not.toHaveProperty('dpo');
});
