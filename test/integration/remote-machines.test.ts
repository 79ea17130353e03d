// The engine with devices of other machines, which are processes here.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MoebiusError } from '../../main/contract/index.ts';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { startEngine, tinyModel } from '../support/engine.ts';
import { startRpcServers } from '../support/rpc-servers.ts';

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('it did not fail'),
    (error: MoebiusError) => error,
  );

describe('devices of other machines', () => {
  let engine: EngineSupervisor;
  beforeAll(async () => {
    engine = await startEngine({ environment: { MOEBIUS_REMOTE_TIMEOUT: '2' } });
  });
  afterAll(() => engine.dispose());

  async function add(endpoint: string) {
    return (await engine.call('devices.addRemote', { endpoint })).machines;
  }

  it('appear with their memory, and only what was given of it', async () => {
    await using rig = await startRpcServers(2, { memory: 64_000_000 });
    for (const { endpoint, device } of rig.servers) expect(await add(endpoint)).toContainEqual({ endpoint, devices: [device], lost: null });
    const { devices } = await engine.call('devices.list', {});
    for (const { device, endpoint } of rig.servers)
      expect(devices).toContainEqual({
        id: device,
        description: endpoint,
        kind: 'gpu',
        backend: 'RPC',
        memoryFree: 64_000_000,
        memoryTotal: 64_000_000,
        default: false,
      });
    for (const { endpoint } of rig.servers) await engine.call('devices.removeRemote', { endpoint });
    expect((await engine.call('devices.list', {})).devices.every((device) => device.backend !== 'RPC')).toBe(true);
  });

  it('are refused with a reason within seconds when nobody answers there', async () => {
    const error = await failure(add('127.0.0.1:1'));
    expect(error).toMatchObject({ code: 'device.unreachable', details: { endpoint: '127.0.0.1:1' } });
    expect(error.message).toMatch(/refused.*moebius rpc-server/s);
    const silent = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number }; // it listens on TCP
    const begin = Date.now();
    expect((await failure(add(`127.0.0.1:${port}`))).message).toMatch(/did not answer anything for 5 seconds/);
    expect(Date.now() - begin).toBeLessThan(9000);
    silent.close();
    expect(await failure(add('machine'))).toMatchObject({ code: 'request.invalid' });
    await engine.call('ping', {});
  }, 20_000);

  it('that lack memory refuse a model with the numbers', async () => {
    await using rig = await startRpcServers(1, { memory: 10_000_000 });
    const [machine] = rig.servers as [(typeof rig.servers)[number]]; // one was asked for
    // a device's id names its machine: nobody has to add that before
    expect(await failure(engine.call('model.load', { path: tinyModel, options: { devices: [machine.device] } }))).toMatchObject({
      code: 'model.does-not-fit',
      details: { device: machine.device, have: 10_000_000 },
    });
  });

  it('that die are named when a model is loaded there, and can be used again when they are back', async () => {
    const options = (device: string) => ({ path: tinyModel, options: { devices: [device] } });
    let endpoint: string;
    let device: string;
    {
      await using rig = await startRpcServers(1);
      ({ endpoint, device } = rig.servers[0] as (typeof rig.servers)[number]); // one was asked for
      await add(endpoint);
      const { model } = await engine.call('model.load', options(device));
      await engine.call('model.unload', { model });
    }
    expect(await failure(engine.call('model.load', options(device)))).toMatchObject({ code: 'device.lost', details: { endpoint } });
    expect((await engine.call('devices.listRemote', {})).machines).toContainEqual({ endpoint, devices: [device], lost: 'Connection refused' });
    await using _back = await startRpcServers(1, { port: Number(endpoint.split(':')[1]) });
    const { model } = await engine.call('model.load', options(device));
    await engine.call('model.unload', { model });
    expect((await engine.call('devices.listRemote', {})).machines).toContainEqual({ endpoint, devices: [device], lost: null });
  });
});

describe('the command line', () => {
  const program = join(import.meta.dirname, '../../main/cli/moebius.mjs');
  const moebius = (...args: string[]) => spawn(process.execPath, [program, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });

  it('lends this machine and uses another one', async () => {
    const server = moebius('rpc-server', '--port', '0', '--threads', '1', '--memory', '100000000');
    const ended = new Promise((resolve) => server.once('close', resolve));
    try {
      const [line] = await Array.fromAsync(firstLine(server.stdout));
      const { endpoint } = JSON.parse(line ?? '{}') as { endpoint: string }; // one that the command announced
      const { devices } = JSON.parse(await text(moebius('devices', '--remote', endpoint).stdout));
      expect(devices).toContainEqual(expect.objectContaining({ id: `RPC0@${endpoint}`, memoryTotal: 100_000_000 }));
      const story = ['generate', tinyModel, '-p', 'In the beginning', '-n', '16', '--temperature', '0'];
      const [here, there] = [await text(moebius(...story).stdout), await text(moebius(...story, '--remote', endpoint).stdout)];
      expect(JSON.parse(there).text).toBe(JSON.parse(here).text);
    } finally {
      server.kill('SIGTERM');
    }
    expect(await ended).toBe(0);
  }, 60_000);

  it('tells that a machine cannot be reached', async () => {
    const child = moebius('generate', tinyModel, '-p', 'In the beginning', '--remote', '127.0.0.1:1');
    expect(JSON.parse(await text(child.stderr))).toMatchObject({ code: 'device.unreachable', details: { endpoint: '127.0.0.1:1' } });
    expect(await text(moebius('devices', '--remote', 'machine').stderr)).toContain('request.invalid');
    expect(await text(moebius('rpc-server', '--host', 'localhost').stderr)).toContain('no IPv4 address');
  }, 60_000);
});

async function* firstLine(stream: NodeJS.ReadableStream) {
  for await (const line of createInterface({ input: stream })) {
    yield line;
    return;
  }
}
