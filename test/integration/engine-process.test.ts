// The built engine as a process: what goes over its three pipes, and when it ends. No client code of ours in between.
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EngineMethod, EngineResult } from '../../main/engine/protocol.ts';

const root = join(import.meta.dirname, '../..');
const executable = join(root, 'native/build', process.platform === 'win32' ? 'moebius-engine.exe' : 'moebius-engine');
const tinyModel = join(root, 'resources/models/tiny-moe.gguf');
// one thread: several would wait for each other on a machine that runs other tests too
const cpu = { devices: [], contextLength: 256, sequences: 2, threads: 1 };

interface RawError {
  code: number;
  message: string;
  data: { code: string; details: Record<string, number> };
}

/** A response, of which each test knows whether it is a result or an error. */
interface Reply<Result> {
  result: Result;
  error: RawError;
}

interface Message extends Reply<unknown> {
  id?: number | string | null;
  method?: string;
  params: { token: string; fraction: number; stage: string };
}

class RawEngine {
  readonly messages: Message[] = [];
  readonly frames: Buffer[] = [];
  readonly stray: string[] = [];
  stderr = '';
  readonly process: ChildProcessWithoutNullStreams;
  readonly #exit: Promise<unknown[]>;
  #bytes = Buffer.alloc(0);
  #nextId = 1;

  constructor() {
    this.process = spawn(executable, [], { stdio: 'pipe' });
    this.#exit = once(this.process, 'exit');
    this.process.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    this.process.stdin.on('error', () => {}); // the engine may end while we write; the tests look at its exit
    this.process.stdout.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#parse();
    });
  }

  #parse(): void {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      const header = this.#bytes.subarray(0, end).toString();
      const length = /^Content-Length: (\d+)$/.exec(header)?.[1];
      if (length === undefined) {
        this.stray.push(header); // something else wrote to stdout
        return;
      }
      const next = end + 4 + Number(length);
      if (this.#bytes.length < next) return;
      const payload = this.#bytes.subarray(end + 4, next);
      if (payload[0] === 0xb1) this.frames.push(payload);
      else this.messages.push(JSON.parse(payload.toString()));
      this.#bytes = this.#bytes.subarray(next);
    }
  }

  get restOfStdout(): string {
    return this.#bytes.toString();
  }

  write(bytes: string): void {
    this.process.stdin.write(bytes);
  }

  send(message: object): void {
    const text = JSON.stringify(message);
    this.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  }

  post(method: string, params: object = {}): number {
    const id = this.#nextId++;
    this.send({ jsonrpc: '2.0', id, method, params });
    return id;
  }

  async find(test: (message: Message) => boolean): Promise<Message> {
    for (let waited = 0; waited < 60_000; waited += 5) {
      const found = this.messages.find(test);
      if (found) return found;
      await sleep(5);
    }
    throw new Error(`no such message; stderr: ${this.stderr.slice(-2000)}`);
  }

  reply<M extends EngineMethod>(_method: M, id: number): Promise<Reply<EngineResult<M>>> {
    const found: Promise<Reply<unknown>> = this.find((message) => message.id === id && message.method === undefined);
    return found as Promise<Reply<EngineResult<M>>>; // what the protocol says; each test looks at the parts it is about
  }

  call<M extends EngineMethod>(method: M, params: object = {}): Promise<Reply<EngineResult<M>>> {
    return this.reply(method, this.post(method, params));
  }

  async initialize(): Promise<Reply<EngineResult<'initialize'>>> {
    return this.call('initialize', { protocolVersion: 1, expectedLlamaVersion: '0.5.0' });
  }

  /** exit code, or the signal's name */
  async exit(): Promise<unknown> {
    const [code, signal] = await this.#exit;
    return code ?? signal;
  }
}

function isAlive(pid: number): boolean {
  const state = spawnSync('ps', ['-o', 'state=', '-p', String(pid)])
    .stdout.toString()
    .trim();
  return state !== '' && !state.startsWith('Z');
}

async function secondsUntil(condition: () => boolean, limit: number): Promise<number> {
  const start = Date.now();
  while (!condition() && Date.now() - start < limit * 1000) await sleep(20);
  return (Date.now() - start) / 1000;
}

const engines: RawEngine[] = [];
function start(): RawEngine {
  const engine = new RawEngine();
  engines.push(engine);
  return engine;
}

async function startReady(): Promise<RawEngine> {
  const engine = start();
  expect((await engine.initialize()).result.protocolVersion).toBe(1);
  return engine;
}

beforeAll(() => {
  if (!existsSync(executable)) throw new Error(`${executable} is missing: run \`npm run build:native\` first`);
});

afterEach(() => {
  for (const engine of engines.splice(0)) engine.process.kill('SIGKILL');
});

describe('the first words', () => {
  it('initialize says what the engine is', async () => {
    const engine = start();
    const { result } = await engine.initialize();
    expect(result).toMatchObject({ protocolVersion: 1, processId: engine.process.pid });
    expect(result.llamaVersion).toMatch(/^0\.5\.0/);
    expect(result.backends).toContain('CPU');
  });

  it('another llama.cpp version is refused, naming both', async () => {
    const engine = start();
    const { error } = await engine.call('initialize', { protocolVersion: 1, expectedLlamaVersion: '0.4.9' });
    expect(error.data.code).toBe('engine.version');
    expect(error.message).toContain('0.5.0');
    expect(error.message).toContain('0.4.9');
  });

  it('another protocol version is refused', async () => {
    const { error } = await start().call('initialize', { protocolVersion: 99, expectedLlamaVersion: '0.5.0' });
    expect(error.data.code).toBe('engine.version');
    expect(error.message).toContain('99');
  });

  it('nothing is served before', async () => {
    const { error } = await start().call('devices.list');
    expect(error.code).toBe(-32002);
  });
});

describe('requests', () => {
  it('devices and inspection', async () => {
    const engine = await startReady();
    const { result } = await engine.call('devices.list');
    const processor = result.devices.find((device) => device.id === 'CPU');
    expect(processor?.kind).toBe('cpu');
    expect(processor?.memoryTotal).toBeGreaterThan(2 ** 28);
    expect(processor?.memoryFree).toBeLessThanOrEqual(processor?.memoryTotal ?? 0);
    const inspected = await engine.call('model.inspect', { path: tinyModel });
    expect(inspected.result).toMatchObject({ architecture: 'qwen3moe', layerCount: 4, expertCount: 32, expertUsedCount: 2 });
    expect((await engine.call('model.validate', { path: tinyModel })).result).toEqual({ files: [tinyModel], tensorCount: 50 });
  });

  it('an unknown parameter, a wrong type and an unknown device are refused by name', async () => {
    const engine = await startReady();
    const unknown = (await engine.call('model.load', { path: tinyModel, options: { thraeds: 2 } })).error;
    expect(unknown.code).toBe(-32602);
    expect(unknown.message).toContain('options.thraeds');
    expect((await engine.call('model.inspect', { path: 5 })).error.message).toContain("'path'");
    expect((await engine.call('ping', { loud: true })).error.message).toContain("'loud'");
    expect((await engine.call('model.load', { path: tinyModel, options: { devices: ['CUDA99'] } })).error.data.code).toBe('device.not-found');
    const id = engine.post('no.such.method');
    const unknownMethod = await engine.find((message) => message.id === id);
    expect(unknownMethod.error).toMatchObject({ code: -32601, data: { code: 'request.unknown-method' } });
    expect((await engine.call('model.inspect', { path: '/nonexistent.gguf' })).error.data.code).toBe('file.not-found');
  });

  it('a model loads with progress, generates, and is unloaded', async () => {
    const engine = await startReady();
    const { result } = await engine.call('model.load', { path: tinyModel, options: cpu, progressToken: 'bar' });
    expect(result).toMatchObject({ path: tinyModel, telemetry: true, options: { contextLength: 256, sequences: 2 } });
    expect(result.memory[0]?.experts).toBeGreaterThan(20_000_000);
    const progress = engine.messages.filter((message) => message.method === '$/progress').map((message) => message.params);
    expect(progress.every((step) => step.token === 'bar')).toBe(true);
    const fractions = progress.map((step) => step.fraction);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
    expect(fractions.at(-1)).toBe(1);

    const parameters = { model: result.model, generation: 7, prompt: 'Once upon a time', maxTokens: 12, ignoreEndOfGeneration: true };
    const generated = await engine.call('generate', { ...parameters, sampling: { temperature: 0 } });
    expect(generated.result).toMatchObject({ finishReason: 'length', tokens: 12 });
    expect(engine.frames.some((frame) => frame[1] === 1 && frame.readUInt32LE(4) === 7)).toBe(true); // TOKENS
    expect(engine.frames.some((frame) => frame[1] === 2 && frame.readUInt32LE(4) === 7)).toBe(true); // ROUTING

    expect((await engine.call('model.unload', { model: result.model })).result).toEqual({});
    expect((await engine.call('generate', parameters)).error.data.code).toBe('model.not-loaded');
  });

  it('a load is cancelled, and the next one works', async () => {
    const engine = await startReady();
    const id = engine.post('model.load', { path: tinyModel, options: cpu });
    engine.send({ jsonrpc: '2.0', method: '$/cancelRequest', params: { id } });
    expect((await engine.reply('model.load', id)).error).toMatchObject({ code: -32800, data: { code: 'cancelled' } });
    expect((await engine.call('model.list')).result.models).toEqual([]);
    expect((await engine.call('model.load', { path: tinyModel, options: cpu })).result.model).toBeGreaterThan(0);
  });

  it('a cancelled generation keeps what it has', async () => {
    const engine = await startReady();
    const { result } = await engine.call('model.load', { path: tinyModel, options: cpu });
    const id = engine.post('generate', { model: result.model, generation: 1, prompt: 'Once', ignoreEndOfGeneration: true, overflow: 'shift' });
    await secondsUntil(() => engine.frames.length > 0, 30);
    expect((await engine.call('ping')).result.running).toBe(1);
    engine.send({ jsonrpc: '2.0', method: '$/cancelRequest', params: { id } });
    const generated = (await engine.reply('generate', id)).result;
    expect(generated.finishReason).toBe('cancelled');
    expect(generated.tokens).toBeGreaterThan(0);
  });

  it('what cannot fit is refused within a second with the numbers', async () => {
    const engine = await startReady();
    const started = Date.now();
    const { error } = await engine.call('model.load', { path: tinyModel, options: { ...cpu, contextLength: 16_777_216, sequences: 64 } });
    expect(Date.now() - started).toBeLessThan(1000);
    expect(error.data.code).toBe('model.does-not-fit');
    expect(error.data.details.need).toBeGreaterThan(error.data.details.have ?? Number.NaN);
    expect(error.message).toContain(`${error.data.details.need} bytes`);
  });
});

describe('bad input', () => {
  it('malformed JSON gets -32700 and the conversation goes on', async () => {
    const engine = await startReady();
    engine.write('Content-Length: 9\r\n\r\n{"jsonrpc');
    const refused = await engine.find((message) => message.id === null);
    expect(refused.error.code).toBe(-32700);
    expect((await engine.call('ping')).result.running).toBe(0);
  });

  it('a message over the limit is skipped and the conversation goes on', async () => {
    const engine = await startReady();
    const size = 65 * 1024 * 1024;
    engine.write(`Content-Length: ${size}\r\n\r\n`);
    const piece = ' '.repeat(1024 * 1024);
    for (let i = 0; i < 65; i++) engine.write(piece);
    const refused = await engine.find((message) => message.id === null);
    expect(refused.error.message).toContain(`${size} bytes`);
    expect((await engine.call('ping')).result.running).toBe(0);
  });

  it.each([
    ['garbage', 'GET / HTTP/1.1\r\n\r\n'],
    ['an oversized header', 'x'.repeat(100_000)],
    ['a length that is no number', 'Content-Length: many\r\n\r\n'],
  ])('%s ends the engine with a clear error', async (_name, bytes) => {
    const engine = await startReady();
    engine.write(bytes);
    const refused = await engine.find((message) => message.id === null);
    expect(refused.error.code).toBe(-32700);
    expect(refused.error.message).toContain('framing');
    expect(await engine.exit()).toBe(1);
  });
});

describe('the end', () => {
  it('stdout carries frames only, and every log line of stderr is JSON', async () => {
    const engine = await startReady();
    const { result } = await engine.call('model.load', { path: tinyModel, options: cpu });
    await engine.call('generate', { model: result.model, generation: 1, prompt: 'Once upon', maxTokens: 5 });
    expect((await engine.call('shutdown')).result).toEqual({});
    expect(await engine.exit()).toBe(0);
    expect(engine.stray).toEqual([]);
    expect(engine.restOfStdout).toBe('');
    const lines = engine.stderr.split('\n').filter((line) => line !== '');
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty('level');
  });

  it('the end of stdin ends it with code 0, also while it generates', async () => {
    const idle = await startReady();
    idle.process.stdin.end();
    expect(await idle.exit()).toBe(0);
    const busy = await startReady();
    const { result } = await busy.call('model.load', { path: tinyModel, options: cpu });
    busy.post('generate', { model: result.model, generation: 1, prompt: 'Once', ignoreEndOfGeneration: true, overflow: 'shift' });
    await secondsUntil(() => busy.frames.length > 0, 30);
    const started = Date.now();
    busy.process.stdin.end();
    expect(await busy.exit()).toBe(0);
    expect(Date.now() - started).toBeLessThan(2500);
  });

  it('it ends within 2 s of the death of its parent', async () => {
    const script = `const c = require('node:child_process').spawn(process.argv[1], [], { stdio: ['pipe', 'ignore', 'ignore'] }); console.log(c.pid); setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['-e', script, executable], { stdio: ['ignore', 'pipe', 'ignore'] });
    const [line] = await once(parent.stdout, 'data');
    const pid = Number(line.toString());
    await sleep(300);
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    expect(await secondsUntil(() => !isAlive(pid), 10)).toBeLessThan(2);
  });
});
