// Copies of experts on GPUs of two machines (processes here), through the protocol: estimate, load, a reply during which budgets change and a machine dies.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { startEngine, tinyModel } from '../support/engine.ts';
import { type RpcServer, startRpcServers } from '../support/rpc-servers.ts';

const RAM = 14_000_000; // half of the experts
const BUDGET = 16_000_000;
const basic = { expertRamBytes: RAM, sequences: 1, contextLength: 512, threads: 1, devices: [] };

describe('experts on devices', () => {
  let engine: EngineSupervisor;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.dispose());

  const reply = (model: number, maxTokens: number, prompt = 'What is a dwarf?') => {
    const sampling = { temperature: 0 };
    return engine.call('generate', { model, prompt, maxTokens, sampling, ignoreEndOfGeneration: true });
  };
  const load = async (machines: RpcServer[]) => {
    const expertDevices = machines.map(({ device }) => ({ id: device, bytes: BUDGET }));
    const options = { ...basic, expertDevices };
    const { devices } = await engine.call('model.estimate', { path: tinyModel, options });
    const loaded = await engine.call('model.load', { path: tinyModel, options });
    return { loaded, estimated: devices };
  };
  const statusOf = async (model: number) => {
    const { devices } = await engine.call('experts.status', { model });
    if (!devices) throw new Error('the model has no devices for its experts');
    return devices;
  };

  it('compute, are counted, and take what was estimated', async () => {
    await using rig = await startRpcServers(2);
    const { loaded, estimated } = await load(rig.servers);
    for (const { device } of rig.servers) {
      expect(loaded.memory).toContainEqual(expect.objectContaining({ id: device }));
      expect(loaded.memory.find(({ id }) => id === device)).toMatchObject({ experts: estimated.find(({ id }) => id === device)?.experts });
    }
    await reply(loaded.model, 32);
    const status = await statusOf(loaded.model);
    expect(status.devices.map(({ id, lost, budgetBytes }) => ({ id, lost, budgetBytes }))).toEqual(
      rig.servers.map(({ device }) => ({ id: device, lost: false, budgetBytes: BUDGET })),
    );
    expect(status.devices.reduce((sum, { tokens }) => sum + tokens, 0) + status.cpuTokens).toBeGreaterThan(32 * 2 * 3);
    for (const { copies, slots, busyMilliseconds } of status.layers) {
      expect(copies).toMatch(/^(0[0-3]){32}$/);
      expect([slots.length, busyMilliseconds.length]).toEqual([2, 3]);
    }
    await engine.call('model.unload', { model: loaded.model });
  }, 60_000);

  it('change while a reply goes on, which ends as it would have', async () => {
    await using rig = await startRpcServers(2);
    const [first, second] = rig.servers as [RpcServer, RpcServer]; // two were asked for
    const { loaded } = await load(rig.servers);
    const { model } = loaded;
    await engine.call('experts.configure', { model, cpuHelps: false });
    const running = reply(model, 400);
    const configure = (bytes: number) => engine.call('experts.configure', { model, devices: [{ id: second.device, bytes }] });
    expect((await configure(0)).devices?.layers.every(({ slots }) => slots[1] === 0)).toBe(true);
    expect((await configure(2 * BUDGET)).devices?.devices[1]).toMatchObject({ id: second.device, budgetBytes: 2 * BUDGET });
    await engine.call('experts.configure', { model, devices: [{ id: first.device, bytes: 4_000_000 }], replication: false });
    await second.kill();
    expect(await running).toMatchObject({ finishReason: 'length', tokens: 400 });
    const status = await statusOf(model);
    await reply(model, 8); // whoever is lost is noticed by a batch
    expect((await statusOf(model)).devices.map(({ lost }) => lost)).toEqual([false, true]);
    expect(status.replication).toBe(false);
    await engine.call('model.unload', { model });
  }, 60_000);

  it('hold unimportant experts in fewer bits when that is asked for, within the same bytes', async () => {
    await using rig = await startRpcServers(2);
    const budget = 9_000_000; // much less than all experts take on both
    const expertDevices = rig.servers.map(({ device }) => ({ id: device, bytes: budget }));
    const { model } = await engine.call('model.load', { path: tinyModel, options: { ...basic, expertDevices } });
    expect((await statusOf(model)).replicaPrecision).toBeNull();
    await engine.call('experts.configure', { model, cpuHelps: false, replicaPrecision: { type: 'q4_0', share: 0.5 } });
    // texts of many kinds, so that many experts are used, and more of them than have room in full precision
    const texts = ['#include <vector>\n\nint main() {', 'En aquellos días salió el pueblo', '17 + 25 =', 'In those days the king', 'kludge: a clumsy'];
    for (const text of texts) await reply(model, 96, text);
    await expect.poll(async () => (await statusOf(model)).moving, { timeout: 10_000 }).toBe(0);
    for (const text of texts) await reply(model, 32, text);
    const on = await statusOf(model);
    expect(on.replicaPrecision).toMatchObject({ type: 'q4_0', share: 0.5 });
    expect(on.replicaPrecision?.calibratedLayers).toBeGreaterThan(0);
    expect(on.devices.reduce((sum, { lowTokens }) => sum + lowTokens, 0)).toBeGreaterThan(0);
    for (const { lowTokens, tokens, bytes } of on.devices) {
      expect(tokens).toBeGreaterThan(lowTokens);
      expect(bytes).toBeLessThanOrEqual(budget);
    }
    const off = await engine.call('experts.configure', { model, replicaPrecision: { type: 'q4_0', share: 0 } });
    expect(off.devices?.replicaPrecision).toBeNull();
    expect(off.devices?.layers.every(({ lowCopies }) => lowCopies === '')).toBe(true);
    await engine.call('model.unload', { model });
  }, 60_000);

  it('get what a model that is too large for its devices leaves free there, unasked', async () => {
    const lent = 16_000_000;
    await using rig = await startRpcServers(1, { memory: lent });
    const [machine] = rig.servers as [RpcServer]; // one was asked for
    const options = { sequences: 1, contextLength: 256, batch: 64, threads: 1, devices: [machine.device] };
    const loaded = await engine.call('model.load', { path: tinyModel, options });
    expect(loaded.options.expertRamBytes).toBeGreaterThan(0);
    expect(loaded.options.expertDevices).toMatchObject([{ id: machine.device }]);
    const memory = loaded.memory.find(({ id }) => id === machine.device);
    const taken = (memory?.weights ?? 0) + (memory?.experts ?? 0) + (memory?.kvCache ?? 0) + (memory?.compute ?? 0);
    expect(memory?.experts).toBeGreaterThan(0);
    expect(taken).toBeLessThanOrEqual(lent);
    await reply(loaded.model, 32);
    expect((await statusOf(loaded.model)).devices[0]?.tokens).toBeGreaterThan(0);
    await engine.call('model.unload', { model: loaded.model });
  }, 60_000);

  it('are refused where they cannot be', async () => {
    const missing = engine.call('model.load', { path: tinyModel, options: { ...basic, expertDevices: [{ id: 'Vulkan77', bytes: 1 }] } });
    await expect(missing).rejects.toMatchObject({ code: 'device.not-found' });
    await using rig = await startRpcServers(1, { memory: 5_000_000 });
    const [machine] = rig.servers as [RpcServer]; // one was asked for
    const large = engine.call('model.load', { path: tinyModel, options: { ...basic, expertDevices: [{ id: machine.device, bytes: BUDGET }] } });
    await expect(large).rejects.toMatchObject({ code: 'model.does-not-fit', details: { device: machine.device, have: 5_000_000 } });
    const whole = engine.call('model.load', { path: tinyModel, options: { ...basic, expertRamBytes: 0, expertDevices: [{ id: machine.device, bytes: 1 }] } });
    await expect(whole).rejects.toMatchObject({ code: 'request.invalid' });
    const { model } = await engine.call('model.load', { path: tinyModel, options: basic });
    await expect(engine.call('experts.configure', { model, devices: [{ id: machine.device, bytes: 1 }] })).rejects.toMatchObject({ code: 'request.invalid' });
    await engine.call('model.unload', { model });
  }, 60_000);
});
