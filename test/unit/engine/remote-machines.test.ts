// The machines of the settings, as the engine has them.
import { beforeEach, describe, expect, it } from 'vitest';
import { MoebiusError } from '../../../main/contract/index.ts';
import { silentLogger } from '../../../main/engine/log.ts';
import { RemoteMachines } from '../../../main/engine/remote-machines.ts';
import { EngineDouble } from '../../support/engine-double.ts';

const good = '10.0.0.1:50052';
const dead = '10.0.0.2:50052';

describe('the machines of the settings', () => {
  let there: Set<string>;
  let alive: Set<string>;
  let engine: EngineDouble;
  let events: unknown[];
  let machines: RemoteMachines;

  const list = () => ({ machines: [...there].map((endpoint) => ({ endpoint, devices: [`RPC0@${endpoint}`], lost: alive.has(endpoint) ? null : 'gone' })) });

  beforeEach(() => {
    there = new Set();
    alive = new Set([good]);
    events = [];
    engine = new EngineDouble({
      'devices.listRemote': list,
      'devices.addRemote': ({ endpoint }) => {
        if (!alive.has(String(endpoint))) throw new MoebiusError('device.unreachable', `Machine ${endpoint} cannot be used.`);
        there.add(String(endpoint));
        return list();
      },
      'devices.removeRemote': ({ endpoint }) => {
        there.delete(String(endpoint));
        return list();
      },
    });
    machines = new RemoteMachines({ engine, publish: (name, payload) => void events.push([name, payload]), logger: silentLogger });
  });

  const added = () => engine.calls.filter((call) => call.method === 'devices.addRemote').length;

  it('are connected; one that cannot be reached says why and does not keep others from it', async () => {
    await machines.apply([dead, good]);
    const expected = [
      { endpoint: dead, devices: [], problem: `Machine ${dead} cannot be used.` },
      { endpoint: good, devices: [`RPC0@${good}`], problem: null },
    ];
    expect(await machines.list()).toEqual(expected);
    expect(events).toEqual([['devices.changed', expected]]);
  });

  it('are tried again when that is asked for, and not before', async () => {
    await machines.apply([dead]);
    engine.tellStatus();
    await machines.apply([dead]).then(() => expect(added()).toBe(2)); // new settings count as asking
    engine.tellStatus();
    alive.add(dead);
    expect(await machines.handlers['devices.reconnect']({})).toEqual([{ endpoint: dead, devices: [`RPC0@${dead}`], problem: null }]);
    expect(added()).toBe(3);
  });

  it('are connected anew by a restarted engine', async () => {
    await machines.apply([good]);
    there.clear();
    Object.assign(engine.status, { processId: 2 });
    engine.tellStatus();
    expect(await machines.handlers['devices.reconnect']({})).toEqual([{ endpoint: good, devices: [`RPC0@${good}`], problem: null }]);
    expect(added()).toBe(2);
  });

  it('wait for the engine', async () => {
    Object.assign(engine.status, { state: 'starting' });
    await machines.apply([good]);
    expect(await machines.list()).toEqual([{ endpoint: good, devices: [], problem: null }]);
    Object.assign(engine.status, { state: 'ready' });
    engine.tellStatus();
    await machines.apply([good]);
    expect(added()).toBe(1);
  });

  it('leave the engine when they leave the settings', async () => {
    await machines.apply([good]);
    await machines.apply([]);
    expect([...there]).toEqual([]);
    expect(await machines.list()).toEqual([]);
  });

  it('that are lost say so', async () => {
    await machines.apply([good]);
    alive.clear();
    expect(await machines.list()).toEqual([{ endpoint: good, devices: [`RPC0@${good}`], problem: 'gone' }]);
  });
});
