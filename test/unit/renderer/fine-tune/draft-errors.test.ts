import { expect, it } from 'vitest';
import type { Inspection, Recipe } from '../../../../main/contract/index.ts';
import { type DraftFacts, draftErrors } from '../../../../renderer/pages/fine-tune/new/draft-errors.ts';
import { newDraft, type RunDraft } from '../../../../renderer/pages/fine-tune/new/run-draft.ts';
import { ready, report, schedule } from './drafts.ts';

const errorsOf = (draft: RunDraft, facts: Partial<DraftFacts> = {}) =>
  draftErrors(draft, { dataError: null, report: null, inspection: null, devices: [], ...facts });

// Only what the form looks at.
const quantisation = [{ tensorClass: 'output' }];
const moe = { architecture: 'qwen3moe', layerCount: 2, moeLayers: [0, 1], expertCount: 8, sharedExpertCount: 0, quantisation } as unknown as Inspection;
const dense = { ...moe, architecture: 'qwen3', moeLayers: [], expertCount: 0 };

it('finds nothing wrong with the defaults once there is data', () => {
  expect(errorsOf(newDraft())).toEqual({ files: 'Add a file with examples first.' });
  expect(errorsOf(ready())).toEqual({});
  expect(errorsOf(ready(), { report: report(), inspection: moe, devices: ['CPU'] })).toEqual({});
});

it('tells with the numbers what cannot be, at its field', () => {
  expect(errorsOf(ready({ adapter: {} }))).toHaveProperty('adapter');
  expect(errorsOf(ready({ adapter: { router: { loraRank: 4 }, wholeRouter: true } }))).toHaveProperty('router');
  const long = ready({ batchTokens: 256, data: { files: ['/a'], maxTokens: 300 } });
  expect(errorsOf(long).batchTokens).toMatch(/300 tokens.*room for 256/);
  expect(errorsOf(ready({ schedule: { ...schedule, steps: 5 } })).warmupSteps).toMatch(/6 steps.*only 5/);
  const decay = { ...schedule, kind: 'wsd' as const, decaySteps: 195 };
  expect(errorsOf(ready({ schedule: decay })).decaySteps).toMatch(/195 steps.*200 has 194 left/);
  expect(errorsOf(ready({ schedule: { ...schedule, kind: 'power' } }))).toHaveProperty('batchSequences');
});

it('waits until it is clear how the rows are meant', () => {
  const error = { code: 'dataset.format-unsure' as const, message: '' };
  expect(errorsOf(ready(), { dataError: error }).files).toMatch(/how the rows are meant/);
  expect(errorsOf(ready(), { dataError: { code: 'file.not-found', message: '' } })).toHaveProperty('files');
});

it('names the parts that a model does not have, and why', () => {
  const adapterError = (adapter: Recipe['adapter'], inspection: Inspection) => errorsOf(ready({ adapter }), { inspection }).adapter;
  const loraRank = 4;
  expect(adapterError({ experts: { loraRank }, attention: { loraRank } }, dense)).toBe('Experts: this model has no experts. Untick it.');
  expect(adapterError({ mixture: { loraRank } }, moe)).toMatch(/for models without experts; this one has 8/);
  expect(adapterError({ mixture: { loraRank } }, { ...dense, architecture: 'gemma3' })).toMatch(/llama and qwen3; this is gemma3/);
  expect(adapterError({ mixture: { loraRank } }, dense)).toBeUndefined();
  expect(adapterError({ ffn: { loraRank } }, moe)).toMatch(/every layer of this model has experts/);
  expect(adapterError({ shared: { loraRank } }, moe)).toMatch(/no shared experts/);
  expect(adapterError({ wholeRouter: true, wholeHead: true }, { ...dense, quantisation: [] })).toBe(
    'Router, whole: this model has no experts. Head, whole: this model’s head is its embedding, one matrix for both. Untick it.',
  );
  expect(adapterError({ wholeEmbedding: true, wholeHead: true }, moe)).toBeUndefined();
});

it('a mixture has enough experts, and the FFN one adapter or a mixture', () => {
  const mixture = { loraRank: 4, expertCount: 2, expertUsedCount: 3 };
  expect(errorsOf(ready({ adapter: { mixture } })).mixture).toMatch(/use 3 experts.*has 2/);
  expect(errorsOf(ready({ adapter: { mixture: { loraRank: 4, expertUsedCount: 9 } } })).mixture).toMatch(/use 9 experts.*has 8/);
  expect(errorsOf(ready({ adapter: { mixture: { loraRank: 4 }, ffn: { loraRank: 4 } } })).mixture).toMatch(/not both/);
});

it('data is pairs or has none', () => {
  const kinds = { conversation: 60, text: 0, preference: 40 };
  expect(errorsOf(ready(), { report: report({ kinds }) }).files).toMatch(/40 of the 100 examples are preference pairs/);
  expect(errorsOf(ready(), { report: report({ kinds: { ...kinds, conversation: 0, preference: 100 } }) })).toEqual({});
});

it('devices have room for every expert, and are there', () => {
  const devices = ['CPU', 'GPU0'];
  const on = (...experts: NonNullable<NonNullable<Recipe['devices']>['experts']>) => ready({ devices: { experts } });
  expect(errorsOf(on({ device: 'CPU' }, { device: 'GPU0' }), { inspection: moe, devices })).toEqual({});
  expect(errorsOf(on({ device: 'CPU', slots: 3 }, { device: 'GPU0', slots: 4 }), { inspection: moe, devices }).devices).toMatch(/slots for 7.*has 8/);
  expect(errorsOf(on({ device: 'GPU7' }), { inspection: moe, devices }).devices).toMatch(/GPU7 is not there/);
  expect(errorsOf(on({ device: 'CPU' }), { inspection: dense, devices }).devices).toMatch(/no experts/);
});

it('a number of experts is drawn from what there is', () => {
  const drawn = (min: number, max: number, inspection = moe) => errorsOf(ready({ expertUsedCount: { min, max } }), { inspection }).drawn;
  expect(drawn(1, 8)).toBeUndefined();
  expect(drawn(1, 9)).toMatch(/up to 9 experts.*has 8/);
  expect(drawn(3, 2)).toMatch(/at least 3 experts and at most 2/);
  expect(drawn(1, 2, dense)).toMatch(/no experts/);
});
