// A library in a temporary folder, with a doubled engine and a database in memory.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { EngineStatus, EventName, EventPayload, Inspection, LoadedModel } from '../../../main/contract/index.ts';
import { MoebiusError } from '../../../main/contract/index.ts';
import type { CallOptions, CallParameters, Engine } from '../../../main/engine/engine.ts';
import type { EngineMethod, EngineResult } from '../../../main/engine/protocol.ts';
import type { TransferTuning } from '../../../main/library/downloads/transfer.ts';
import { ModelLibrary } from '../../../main/library/library.ts';
import { defaultSettings } from '../../../main/settings/defaults.ts';
import { SettingsService } from '../../../main/settings/settings.ts';
import type { Database } from '../../../main/storage/database.ts';
import { openMemoryDatabase } from '../../support/memory-database.ts';

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'moebius-library-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export function inspectionOf(file: string, change: Partial<Inspection> = {}): Inspection {
  return {
    path: file,
    files: [{ path: file, bytes: 4 }],
    bytes: 4,
    ggufVersion: 3,
    architecture: 'qwen3moe',
    name: `Name of ${path.basename(file)}`,
    license: null,
    description: null,
    layerCount: 4,
    moeLayers: [0, 1, 2, 3],
    expertCount: 32,
    expertUsedCount: 2,
    sharedExpertCount: 0,
    embeddingLength: 64,
    expertFeedForwardLength: 32,
    headCount: 4,
    headCountKv: 2,
    vocabularySize: 100,
    contextLength: 512,
    parameterCount: 1000,
    activeParameterCount: 300,
    bytesPerExpert: 12,
    fileType: 'Q8_0',
    quantisation: [],
    chatTemplate: null,
    tokenizer: 'gpt2',
    metadata: {},
    ...change,
  };
}

interface HeldLoad {
  path: string;
  options: CallOptions;
  succeed(): void;
  fail(error: Error): void;
}

/** An engine whose process can be ended and whose loads can be held. Names of files decide what they are. */
export class DoubledEngine implements Engine {
  status: EngineStatus = { state: 'ready', processId: 1, restarts: 0, llamaVersion: '0.5.0', backends: ['CPU'], error: null };
  readonly calls: { method: EngineMethod; parameters: unknown }[] = [];
  readonly resident = new Map<number, string>();
  /** when true, loads wait in `held` until the test lets them go */
  holdLoads = false;
  readonly held: HeldLoad[] = [];
  /** signals of plans, which wait until they are aborted; others answer at once */
  heldPlans: AbortSignal[] | null = null;
  readonly #listeners = new Set<(status: EngineStatus) => void>();
  readonly #running = new Set<(error: Error) => void>();
  #handles = 0;

  onStatus(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  setStatus(change: Partial<EngineStatus>): void {
    this.status = { ...this.status, ...change };
    for (const listener of this.#listeners) listener(this.status);
  }

  /** As the supervisor does it: calls fail, then the state is `restarting`. */
  die(state: 'restarting' | 'stopped' = 'restarting'): void {
    for (const reject of this.#running) reject(new MoebiusError('engine.died', 'The engine ended.'));
    this.#running.clear();
    this.held.length = 0;
    this.resident.clear();
    this.setStatus({ state, processId: null, error: state === 'stopped' ? { code: 'engine.crash-loop', message: 'It crashed 3 times.' } : null });
  }

  comeBack(): void {
    this.setStatus({ state: 'ready', processId: 1000 + this.status.restarts, restarts: this.status.restarts + 1, error: null });
  }

  count(method: EngineMethod): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  async call<M extends EngineMethod>(method: M, parameters: CallParameters<M>, options: CallOptions = {}): Promise<EngineResult<M>> {
    this.calls.push({ method, parameters });
    if (this.status.state !== 'ready') throw new MoebiusError('engine.starting', 'The engine is not ready.');
    const answer = await Promise.race([
      this.#answer(method, parameters as Record<string, unknown>, options), // parameters of the protocol are objects
      new Promise<never>((_, reject) => this.#running.add(reject)),
    ]);
    return answer as EngineResult<M>; // #answer gives each method its own result
  }

  async restart(): Promise<void> {
    this.die();
    this.comeBack();
  }

  async dispose(): Promise<void> {}

  async #answer(method: EngineMethod, parameters: Record<string, unknown>, options: CallOptions): Promise<unknown> {
    await new Promise((resolve) => setImmediate(resolve));
    const file = String(parameters.path);
    if (method === 'model.inspect') return this.#inspect(file);
    if (method === 'model.load') return this.#load(file, parameters, options);
    if (method === 'model.unload') {
      if (!this.resident.delete(Number(parameters.model))) throw new MoebiusError('model.not-loaded', 'No such handle.');
      return {};
    }
    if (method === 'model.estimate') return { options: parameters.options };
    if (method === 'plan.make') return this.#plan(parameters, options);
    throw new Error(`not doubled: ${method}`);
  }

  #inspect(file: string): Inspection {
    const name = path.basename(file);
    if (name.includes('bad')) throw new MoebiusError('file.not-gguf', `${name} is not a GGUF file.`);
    if (name.includes('poison')) {
      this.die();
      setTimeout(() => this.comeBack(), 5);
      throw new MoebiusError('engine.died', 'The engine ended.');
    }
    if (name.includes('adapter')) return inspectionOf(file, { metadata: { 'general.type': 'adapter' } });
    if (name.includes('mmproj')) return inspectionOf(file, { architecture: 'clip' });
    return inspectionOf(file);
  }

  async #plan(parameters: Record<string, unknown>, { signal }: CallOptions): Promise<unknown> {
    if (!this.heldPlans || !signal) return { options: parameters.options };
    this.heldPlans.push(signal);
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new MoebiusError('cancelled', 'The plan was cancelled.'))));
  }

  async #load(file: string, parameters: Record<string, unknown>, options: CallOptions): Promise<LoadedModel> {
    options.onProgress?.({ fraction: 0.5, stage: 'weights' });
    if (this.holdLoads) {
      await new Promise<void>((resolve, reject) => {
        this.held.push({ path: file, options, succeed: resolve, fail: reject });
        options.signal?.addEventListener('abort', () => reject(new MoebiusError('cancelled', 'The load was cancelled.')));
      });
    }
    this.#handles += 1;
    this.resident.set(this.#handles, file);
    const loadOptions = (parameters.options ?? {}) as LoadedModel['options']; // what the library sent
    return { model: this.#handles, path: file, inspection: inspectionOf(file), options: loadOptions, loadMilliseconds: 1, memory: [], telemetry: true };
  }
}

export interface TestLibrary {
  library: ModelLibrary;
  engine: DoubledEngine;
  database: Database;
  settings: SettingsService;
  folder: string;
  embedded: string;
  events: { name: EventName; payload: unknown }[];
  payloads<E extends EventName>(name: E): EventPayload<E>[];
  /** closes the library and opens another one on the same data */
  reopen(): Promise<TestLibrary>;
}

export interface TestOptions {
  folder?: string;
  engine?: DoubledEngine;
  database?: Database;
  hubUrl?: string;
  transfer?: Partial<TransferTuning>;
  start?: boolean;
}

export async function openLibrary(options: TestOptions = {}): Promise<TestLibrary> {
  const folder = options.folder ?? (await temporaryFolder());
  const engine = options.engine ?? new DoubledEngine();
  const database = options.database ?? openMemoryDatabase();
  if (!options.database) onTestFinished(() => database.close());
  const embedded = path.join(folder, 'app', 'tiny-moe.gguf');
  if (!options.folder) await writeModel(embedded);
  const events: TestLibrary['events'] = [];
  const publish = <E extends EventName>(name: E, payload: EventPayload<E>) => void events.push({ name, payload: structuredClone(payload) });
  const settings = new SettingsService(database, defaultSettings(folder), publish);
  await settings.start();
  if (options.hubUrl) await settings.set({ hubUrl: options.hubUrl });
  const library = new ModelLibrary({ engine, database, settings, publish, embeddedModelPath: embedded, transfer: { retryDelayMs: 1, ...options.transfer } });
  if (options.start !== false) await library.start();
  let closed = false;
  const close = async () => {
    if (!closed) await library.dispose();
    closed = true;
  };
  onTestFinished(close);
  return {
    library,
    engine,
    database,
    settings,
    folder,
    embedded,
    events,
    // the events were published under this name
    payloads: <E extends EventName>(name: E) => events.filter((event) => event.name === name).map(({ payload }) => payload as EventPayload<E>),
    reopen: async () => {
      await close();
      return openLibrary({ ...options, folder, engine, database });
    },
  };
}

/** Writes `content` (default: a few bytes) under `file`, with its folders. */
export async function writeModel(file: string, content: string | Uint8Array = 'GGUF'): Promise<string> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
  return file;
}
