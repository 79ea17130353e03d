// The planner panel without its components: what is asked when, what is shown of it, and what sliders mean.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Device, type Estimate, type LoadOptions, MoebiusError, type PlanResult } from '../../../main/contract/index.ts';
import { BUDGET_STEPS, bytesAt, deviceBudgets, ramBudget, stepOf, withDeviceBudget } from '../../../renderer/pages/models/budgets.ts';
import { LivePlan } from '../../../renderer/pages/models/live-plan.ts';
import { bottleneckText, hardwareLimit, layersText, shortDevice, slotsText, splitText } from '../../../renderer/pages/models/plan-text.ts';
import { CoreDouble } from './core-double.ts';

const split = { weights: 3, experts: 20, kvCache: 4, compute: 5 };
const estimateOf = (options: LoadOptions, changes: Partial<Estimate> = {}): Estimate => ({
  total: split,
  devices: [
    { id: 'CPU', ...split, memoryFree: 1000, memoryTotal: 2000 },
    { id: 'G0', ...split, memoryFree: 60, memoryTotal: 100 },
  ],
  need: 64,
  have: 1060,
  fits: true,
  expertRoom: { ramBytesLeast: 10, ramBytesMost: 210, deviceBytesMost: 200 },
  options: { expertRamBytes: 0, expertDevices: [], ...options },
  ...changes,
});

const speed = { tokensPerSecond: 50, seconds: 0.02, bottleneck: 'RAM bandwidth', limits: [{ resource: 'RAM bandwidth', tokensPerSecond: 80 }] };
const planOf = (changes: Partial<PlanResult> = {}): PlanResult => ({
  memory: { devices: [], engineBytes: 1 },
  placement: {
    blocks: [
      { device: 'CPU', first: 0, last: 0 },
      { device: 'G0', first: 1, last: 3 },
    ],
    output: 'G0',
    experts: [
      { layer: 0, slots: { CPU: 4, G0: 2 }, onlyOnDisk: 2 },
      { layer: 1, slots: { CPU: 5, G0: 2 }, onlyOnDisk: 1 },
    ],
  },
  prefill: speed,
  decode: speed,
  promptTokens: 384,
  replyTokens: 128,
  hitRate: { rate: 0.8, source: 'guess', policy: 'lfu' },
  hardware: [
    { id: 'CPU', bandwidth: 10 * 1024 ** 3, flops: 180e9, linkBandwidth: null, nodeSeconds: 0, measured: true },
    { id: 'G0', bandwidth: 100 * 1024 ** 3, flops: 9000e9, linkBandwidth: 5 * 1024 ** 3, nodeSeconds: 1e-6, measured: true },
  ],
  diskBandwidth: 2 * 1024 ** 3,
  offloading: null,
  folding: null,
  options: {},
  ...changes,
});

describe('LivePlan', () => {
  let core: CoreDouble;
  let plan: LivePlan;
  beforeEach(() => {
    vi.useFakeTimers();
    core = new CoreDouble();
    core.answers = {
      'models.estimate': ({ options }) => estimateOf(options ?? {}),
      'models.plan': ({ options }) => planOf({ options: options ?? {} }),
      'models.cancelPlan': () => ({}),
    };
    plan = new LivePlan(core, 'm');
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const settle = () => vi.advanceTimersByTimeAsync(1000);

  it('makes one question of a slider that moves, about the options alone, and plans just what was estimated', async () => {
    for (const bytes of [11, 12, 13]) plan.ask({ expertRamBytes: bytes });
    expect(plan.state.pending).toBe('estimate');
    await settle();
    expect(core.calls.map(({ method }) => method)).toEqual(['models.estimate', 'models.plan']);
    expect(core.calls[0]?.parameters).toEqual({ id: 'm', options: { expertRamBytes: 13 }, exact: true });
    expect(plan.state).toMatchObject({ pending: null, error: null, plan: { options: { expertRamBytes: 13, expertDevices: [] } } });
  });

  it('drops answers to older questions, and has the plan given up that runs for one', async () => {
    const first = Promise.withResolvers<PlanResult>();
    core.answers['models.plan'] = ({ options }) => (options?.contextLength === 100 ? first.promise : planOf({ options: options ?? {} }));
    plan.ask({ contextLength: 100 });
    await settle();
    expect(plan.state.pending).toBe('plan');
    plan.ask({ contextLength: 200 });
    expect(core.count('models.cancelPlan')).toBe(1);
    await settle();
    first.resolve(planOf({ promptTokens: 1 }));
    await settle();
    expect(plan.state).toMatchObject({
      pending: null,
      estimate: { options: { contextLength: 200 } },
      plan: { options: { contextLength: 200 }, promptTokens: 384 },
    });
  });

  it('shows the memory of what does not fit, and asks for no speed', async () => {
    core.answers['models.estimate'] = ({ options }) => estimateOf(options ?? {}, { fits: false });
    plan.ask({});
    await settle();
    expect(plan.state).toMatchObject({ pending: null, estimate: { fits: false }, plan: null });
    expect(core.count('models.plan')).toBe(0);
  });

  it('keeps the memory when the plan fails, and is well again after the next answer', async () => {
    core.answers['models.plan'] = () => {
      throw new MoebiusError('model.does-not-fit', 'It needs 7 and has 3.', { details: { need: 7, have: 3 } });
    };
    plan.ask({});
    await settle();
    expect(plan.state).toMatchObject({
      pending: null,
      estimate: { fits: true },
      plan: null,
      error: { code: 'model.does-not-fit', details: { need: 7, have: 3 } },
    });
    core.answers['models.plan'] = () => planOf();
    plan.ask({});
    await settle();
    expect(plan.state).toMatchObject({ error: null, plan: { promptTokens: 384 } });
  });

  it('tells nothing after it was given up', async () => {
    plan.ask({});
    const told = vi.fn();
    plan.subscribe(told);
    plan.cancel();
    await settle();
    expect(told).not.toHaveBeenCalled();
    expect(core.calls).toEqual([]);
  });
});

describe('budgets', () => {
  const gpu = (id: string, memoryFree: number, memoryTotal = 100): Device => ({
    id,
    description: id,
    kind: 'gpu',
    backend: 'X',
    memoryFree,
    memoryTotal,
    default: true,
  });
  const cpu: Device = { ...gpu('CPU', 1000), kind: 'cpu' };
  const devices = [cpu, gpu('G0', 99), gpu('G1', 70), gpu('G2', 0, 0)];

  it('of RAM go from two experts a layer to all or what is free', () => {
    expect(ramBudget({}, estimateOf({}))).toEqual({ id: 'CPU', bytes: 210, least: 10, most: 210 });
    expect(ramBudget({ expertRamBytes: 50 }, estimateOf({ expertRamBytes: 40 }))?.bytes).toBe(50); // the estimate is a question behind
    const small = estimateOf({ expertRamBytes: 40 }, { devices: [{ id: 'CPU', ...split, memoryFree: 100, memoryTotal: 2000 }] });
    expect(ramBudget({}, small)).toEqual({ id: 'CPU', bytes: 40, least: 10, most: 100 });
    expect(ramBudget({}, estimateOf({}, { expertRoom: null }))).toBeNull();
  });

  it('of GPUs go to all experts or what is free there; a driver that does not tell is believed to have room', () => {
    const budgets = deviceBudgets({}, estimateOf({ expertDevices: [{ id: 'G1', bytes: 30 }] }), devices);
    expect(budgets).toEqual([
      { id: 'G0', bytes: 0, least: 0, most: 60 },
      { id: 'G1', bytes: 30, least: 0, most: 70 },
      { id: 'G2', bytes: 0, least: 0, most: 200 },
    ]);
  });

  it('change one at a time: the others keep what they are shown with, and none at all is no cache on GPUs', () => {
    const shown = deviceBudgets({}, estimateOf({ expertDevices: [{ id: 'G1', bytes: 30 }] }), devices).slice(0, 2);
    const more = withDeviceBudget({ expertRamBytes: 0, batch: 8 }, shown, 'G0', 20);
    expect(more).toEqual({
      batch: 8,
      expertRamBytes: undefined, // 0 would be refused with copies
      expertDevices: [
        { id: 'G0', bytes: 20 },
        { id: 'G1', bytes: 30 },
      ],
    });
    expect(withDeviceBudget({ expertRamBytes: 50 }, shown, 'G1', 0)).toEqual({ expertRamBytes: 50, expertDevices: [] });
  });

  it('are steps of a slider, end to end', () => {
    const budget = { id: 'G', bytes: 0, least: 10, most: 210 };
    for (const step of [0, 1, 77, BUDGET_STEPS]) expect(stepOf({ ...budget, bytes: bytesAt(budget, step) })).toBe(step);
    expect([bytesAt(budget, 0), bytesAt(budget, BUDGET_STEPS)]).toEqual([10, 210]);
    expect(stepOf({ ...budget, bytes: 9999 })).toBe(BUDGET_STEPS);
    expect(stepOf({ ...budget, bytes: 10, most: 10 })).toBe(0);
  });
});

describe('a plan in words', () => {
  it('says where layers and experts are', () => {
    expect(layersText(planOf())).toBe('layer 0 on CPU, layers 1 to 3 on G0; output on G0');
    expect(slotsText(planOf())).toBe('4 to 5 in RAM, 2 on G0, 1 to 2 only on disk');
    expect(slotsText(planOf({ placement: { blocks: [], output: 'CPU', experts: [] } }))).toBeNull();
  });

  it('tells a split', () => {
    const split = {
      blocks: { CPU: 1, G0: 3, G1: 0 },
      copies: { G0: 8, G1: 24 },
      whole: false,
      seconds: 1,
      prefillTokensPerSecond: 1,
      decodeTokensPerSecond: 1,
      options: {},
    };
    expect(splitText(split)).toBe('1 layer in RAM, 3 layers on G0; of each layer 8 experts on G0, 24 experts on G1');
    expect(splitText({ ...split, whole: true, copies: {} })).toBe('1 layer in RAM, 3 layers on G0; experts with their layer');
    expect(splitText({ ...split, copies: { G0: 0 } })).toMatch(/no expert on a GPU$/);
  });

  it('names the limit with what the hardware can do', () => {
    expect(bottleneckText(planOf(), speed)).toBe('RAM bandwidth, 10 GiB/s: alone it allows 80 tok/s');
    const limits = ['disk', 'link', 'CPU compute', 'G0 bandwidth', 'overhead'].map((resource) => hardwareLimit(planOf(), resource));
    expect(limits).toEqual(['2 GiB/s', '5 GiB/s', '180 GFLOP/s', '100 GiB/s', null]);
  });

  it('finds the device that is too small', () => {
    expect(shortDevice(estimateOf({}))).toBeNull();
    const devices = [{ id: 'G0', ...split, memoryFree: 31, memoryTotal: 100 }];
    expect(shortDevice(estimateOf({}, { devices }))).toEqual({ id: 'G0', need: 32, have: 31 });
    expect(shortDevice(estimateOf({}, { devices: devices.map((device) => ({ ...device, memoryTotal: 0 })) }))).toBeNull();
  });
});
