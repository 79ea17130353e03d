// Keeps the engine connected to the machines of the settings, over its restarts. A machine that cannot be reached stays in the list with the reason.
import { type Handlers, MoebiusError, type Publish, type RemoteMachine } from '../contract/index.ts';
import type { Engine } from './engine.ts';
import type { Logger } from './log.ts';

interface Dependencies {
  engine: Engine;
  publish: Publish;
  logger: Logger;
}

/** Call `apply` with the machines at first and whenever they change. */
export class RemoteMachines {
  readonly #engine: Engine;
  readonly #publish: Publish;
  readonly #logger: Logger;
  readonly #unsubscribe: () => void;
  #wanted: readonly string[] = [];
  /** the engine process that `#connected` are of */
  #process: number | null = null;
  #connected = new Set<string>();
  #problems = new Map<string, string>();
  #work: Promise<void> = Promise.resolve();

  constructor({ engine, publish, logger }: Dependencies) {
    this.#engine = engine;
    this.#publish = publish;
    this.#logger = logger;
    this.#unsubscribe = engine.onStatus(() => this.#follow());
  }

  readonly handlers: Handlers<'devices.remote' | 'devices.reconnect'> = {
    'devices.remote': () => this.list(),
    'devices.reconnect': () => {
      this.#problems.clear();
      return this.#follow().then(() => this.list());
    },
  };

  /** Resolves when each is connected or has failed. */
  apply(endpoints: readonly string[]): Promise<void> {
    this.#wanted = [...endpoints];
    this.#problems.clear();
    return this.#follow();
  }

  async list(): Promise<RemoteMachine[]> {
    const { machines } = this.#ready ? await this.#engine.call('devices.listRemote', {}) : { machines: [] };
    return this.#wanted.map((endpoint) => {
      const known = machines.find((machine) => machine.endpoint === endpoint);
      return { endpoint, devices: known?.devices ?? [], problem: known ? known.lost : (this.#problems.get(endpoint) ?? null) };
    });
  }

  dispose(): void {
    this.#unsubscribe();
  }

  get #ready(): boolean {
    return this.#engine.status.state === 'ready';
  }

  /** One change after another. */
  #follow(): Promise<void> {
    this.#work = this.#work.then(() => this.#settle()).catch((error: Error) => this.#logger.error(error.message));
    return this.#work;
  }

  async #settle(): Promise<void> {
    const { processId } = this.#engine.status;
    if (!this.#ready || processId === null) return;
    if (processId !== this.#process) {
      this.#process = processId;
      this.#connected.clear();
      this.#problems.clear();
    }
    const gone = [...this.#connected].filter((endpoint) => !this.#wanted.includes(endpoint));
    const due = this.#wanted.filter((endpoint) => !this.#connected.has(endpoint) && !this.#problems.has(endpoint));
    for (const endpoint of gone) {
      await this.#engine.call('devices.removeRemote', { endpoint });
      this.#connected.delete(endpoint);
    }
    for (const endpoint of due) await this.#connect(endpoint);
    if (gone.length + due.length > 0) this.#publish('devices.changed', await this.list());
  }

  async #connect(endpoint: string): Promise<void> {
    try {
      await this.#engine.call('devices.addRemote', { endpoint });
      this.#connected.add(endpoint);
    } catch (error) {
      if (!(error instanceof MoebiusError)) throw error;
      this.#problems.set(endpoint, error.message);
      this.#logger.warn(error.message);
    }
  }
}
