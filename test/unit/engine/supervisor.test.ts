import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EngineStatus } from '../../../main/contract/app.ts';
import type { TokenPiece } from '../../../main/engine/engine.ts';
import { EngineSupervisor, type SupervisorOptions, type SupervisorTiming } from '../../../main/engine/supervisor.ts';
import { fakeEngine, type Script } from '../../support/fake-engine.ts';

// processes start slowly on a machine that runs other tests too
vi.setConfig({ testTimeout: 20_000 });

let folder: string;
let engine: EngineSupervisor;
let states: EngineStatus['state'][];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-supervisor-'));
});
afterEach(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

const quick = { restart: { backoff: [10, 20, 30], maximumRestarts: 3, window: 60_000 }, shutdownTimeout: 300 };

function supervise(script: Script = {}, timing: Partial<SupervisorTiming> = {}, options: Partial<SupervisorOptions> = {}): EngineSupervisor {
  const counter = join(folder, 'starts');
  engine = new EngineSupervisor({ ...fakeEngine({ counter, ...script }), timing: { ...quick, ...timing }, ...options });
  states = [];
  engine.onStatus((status) => {
    if (states.at(-1) !== status.state) states.push(status.state);
  });
  return engine;
}

function reached(state: EngineStatus['state']): Promise<EngineStatus> {
  return new Promise((resolve) => {
    if (engine.status.state === state) return resolve(engine.status);
    const off = engine.onStatus((status) => {
      if (status.state !== state) return;
      off();
      resolve(status);
    });
  });
}

function signal(name: NodeJS.Signals): void {
  const { processId } = engine.status;
  if (processId === null) throw new Error('there is no engine process');
  process.kill(processId, name);
}

/** Resolves at the first token; `done` is settled with the call. */
async function generating(options: { signal?: AbortSignal } = {}): Promise<{ done: Promise<unknown>; text: () => string }> {
  let text = '';
  const first = Promise.withResolvers<void>();
  const onTokens = (tokens: TokenPiece[]) => {
    text += tokens.map((token) => token.text).join('');
    first.resolve();
  };
  const done = engine.call('generate', { model: 1, prompt: 'x' }, { ...options, onTokens });
  done.catch(() => {});
  await first.promise;
  return { done, text: () => text };
}

describe('EngineSupervisor, start', () => {
  it('says what it is doing and what it found', async () => {
    supervise();
    expect(engine.status).toMatchObject({ state: 'stopped', error: null });
    await expect(engine.call('ping', {})).rejects.toMatchObject({ code: 'engine.starting' });
    const started = engine.start();
    await expect(engine.call('ping', {})).rejects.toMatchObject({ code: 'engine.starting' });
    await started;
    expect(states).toEqual(['starting', 'ready']);
    expect(engine.status).toMatchObject({ processId: expect.any(Number), restarts: 0, llamaVersion: '0.5.0', backends: ['CPU'], error: null });
    expect(await engine.call('ping', {})).toMatchObject({ running: 0 });
  });

  it.each([
    ['reports', { llamaVersion: '0.4.9' }, ['0.4.9', '0.5.0']],
    ['refuses', { start: 'refuse-version' }, ['0.4.0', '0.5.0']],
    ['speaks', { protocolVersion: 2 }, ['protocol 2', 'protocol 1']],
  ] as const)('stops for good when the engine %s another version', async (_, script, named) => {
    supervise(script);
    await expect(engine.start()).rejects.toMatchObject({ code: 'engine.version' });
    expect(states).toEqual(['starting', 'stopped']);
    for (const text of named) expect(engine.status.error?.message).toContain(text);
    await expect(engine.call('ping', {})).rejects.toMatchObject({ code: 'engine.version' });
  });

  it('is not disturbed by a listener that throws', async () => {
    supervise();
    engine.onStatus(() => {
      throw new Error('a bug of the listener');
    });
    const heard: string[] = [];
    engine.onStatus((status) => heard.push(status.state));
    await engine.start();
    expect(heard).toEqual(['starting', 'ready']);
  });

  it('accepts a build suffix of the right release', async () => {
    await supervise({ llamaVersion: '0.5.0-dev' }).start();
    expect(engine.status.state).toBe('ready');
  });

  it('stops at once when the program does not exist', async () => {
    supervise({}, {}, { command: '/does/not/exist' });
    await expect(engine.start()).rejects.toMatchObject({ code: 'engine.died', message: expect.stringContaining('/does/not/exist') });
    expect(states).toEqual(['starting', 'stopped']);
  });

  it('kills and restarts an engine that does not answer initialize', async () => {
    await supervise({ start: 'silent', startUntil: 1 }, { startTimeout: 1500 }).start();
    expect(states).toEqual(['starting', 'restarting', 'ready']);
    expect(engine.status.restarts).toBe(1);
  });

  it('restarts an engine that writes garbage to stdout', async () => {
    await supervise({ start: 'garbage', startUntil: 1 }).start();
    expect(engine.status).toMatchObject({ state: 'ready', restarts: 1 });
  });
});

describe('EngineSupervisor, crashes', () => {
  it('restarts after a crash and says why', async () => {
    supervise({ after: 'crash' });
    await engine.start();
    const { done } = await generating();
    const [status] = await Promise.all([reached('restarting'), expect(done).rejects.toMatchObject({ code: 'engine.died' })]);
    expect(status).toMatchObject({ processId: null, error: { code: 'engine.died', message: expect.stringContaining('SIGSEGV') } });
    expect(await reached('ready')).toMatchObject({ restarts: 1, error: null });
    expect(await engine.call('ping', {})).toMatchObject({ running: 0 });
  });

  it('keeps what was streamed and serves the next request, five kills in a row', async () => {
    supervise({ tokens: 10_000 });
    await engine.start();
    for (let round = 1; round <= 5; round++) {
      const { done, text } = await generating();
      signal('SIGKILL');
      await expect(done).rejects.toMatchObject({ code: 'engine.died', message: expect.stringContaining('SIGKILL') });
      expect(text().startsWith(' 0')).toBe(true);
      expect((await reached('ready')).restarts).toBe(round);
    }
  });

  it('stops after three restarts of an engine that always crashes, and starts again on request', async () => {
    supervise({ start: 'crash', startUntil: 4 });
    await expect(engine.start()).rejects.toMatchObject({
      code: 'engine.crash-loop',
      message: expect.stringMatching(/4 times within 1 minutes.*SIGSEGV.*about to crash/),
    });
    expect(engine.status).toMatchObject({ state: 'stopped', restarts: 3, processId: null });
    await expect(engine.call('ping', {})).rejects.toMatchObject({ code: 'engine.crash-loop' });
    await engine.restart();
    expect(engine.status).toMatchObject({ state: 'ready', error: null });
  });
});

describe('EngineSupervisor, hangs', () => {
  const impatient = { pingInterval: 50, pingTimeout: 500, killAfter: 1500 };

  it('reports a stopped engine, lets running calls be cancelled, then kills and restarts it', async () => {
    supervise({ tokens: 10_000 }, impatient);
    await engine.start();
    const controller = new AbortController();
    const { done } = await generating({ signal: controller.signal });
    const other = await generating();
    signal('SIGSTOP');
    expect((await reached('unresponsive')).error).toMatchObject({ code: 'engine.unresponsive', message: expect.stringContaining('0.5 s') });
    await expect(engine.call('ping', {})).rejects.toMatchObject({ code: 'engine.unresponsive' });
    controller.abort();
    await expect(done).rejects.toMatchObject({ code: 'cancelled' });
    await expect(other.done).rejects.toMatchObject({ code: 'engine.died', message: expect.stringContaining('did not answer for 2 s') });
    await reached('ready');
    expect(states).toEqual(['starting', 'ready', 'unresponsive', 'restarting', 'ready']);
  });

  it('gives up calls that were cancelled before the hang was noticed', async () => {
    supervise({ tokens: 10_000 }, impatient);
    await engine.start();
    const controller = new AbortController();
    const { done } = await generating({ signal: controller.signal });
    signal('SIGSTOP');
    controller.abort();
    await expect(done).rejects.toMatchObject({ code: 'cancelled' });
    expect(engine.status.state).toBe('unresponsive');
  });

  it('goes on when the engine answers again', async () => {
    supervise({ tokens: 60, interval: 5 }, { ...impatient, killAfter: 10_000 });
    await engine.start();
    const { done } = await generating();
    signal('SIGSTOP');
    await reached('unresponsive');
    signal('SIGCONT');
    expect(await reached('ready')).toMatchObject({ restarts: 0, error: null });
    expect(await done).toMatchObject({ finishReason: 'stop', tokens: 60 });
  });

  it('kills an engine that never answers a ping', async () => {
    supervise({ mutePing: true }, impatient);
    await engine.start();
    expect((await reached('restarting')).error?.message).toContain('did not answer');
  });
});

describe('EngineSupervisor, end', () => {
  it('restarts a healthy engine on request', async () => {
    await supervise().start();
    const before = engine.status.processId;
    await Promise.all([engine.restart(), engine.restart()]);
    expect(engine.status.state).toBe('ready');
    expect(engine.status.processId).not.toBe(before);
  });

  it('ends the process, and calls with it', async () => {
    supervise({ tokens: 10_000 });
    await engine.start();
    const { processId } = engine.status;
    const { done } = await generating();
    await Promise.all([engine.dispose(), engine.dispose()]);
    await expect(done).rejects.toMatchObject({ code: 'engine.died' });
    expect(() => process.kill(processId ?? 0, 0)).toThrow('ESRCH');
    await expect(engine.call('ping', {})).rejects.toMatchObject({ code: 'engine.died' });
    await expect(engine.start()).rejects.toMatchObject({ code: 'engine.died' });
    expect(engine.status.state).toBe('stopped');
  });

  it('kills an engine that ignores shutdown, even one that is stopped by a signal', async () => {
    await supervise({ stubborn: true }).start();
    const { processId } = engine.status;
    signal('SIGSTOP');
    await engine.dispose();
    expect(() => process.kill(processId ?? 0, 0)).toThrow('ESRCH');
  });

  it('does not start anything after dispose, in the middle of a back-off or of a restart', async () => {
    supervise({ start: 'crash' }, { restart: { backoff: [50], maximumRestarts: 3, window: 1000 } });
    engine.start().catch(() => {});
    await reached('restarting');
    await engine.dispose();
    const restarted = supervise();
    await restarted.start();
    const restart = restarted.restart();
    restart.catch(() => {});
    await restarted.dispose();
    await expect(restart).rejects.toMatchObject({ code: 'engine.died' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(restarted.status.state).toBe('stopped');
  });
});
