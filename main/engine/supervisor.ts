// Keeps one engine process alive: start, health, restart with back-off, crash-loop stop. Everything else of main/ reaches the engine through it.
import type { EngineStatus } from '../contract/app.ts';
import { MoebiusError, toErrorBody } from '../contract/errors.ts';
import { crashLoopError, deathError, type EngineEnd } from './call-errors.ts';
import { EngineConnection, type LaunchOptions } from './connection.ts';
import type { CallOptions, CallParameters, Engine } from './engine.ts';
import { defaultHealthTiming, HealthMonitor, type HealthTiming } from './health.ts';
import { type Logger, silentLogger } from './log.ts';
import { type EngineMethod, type EngineResult, type Initialized, PROTOCOL_VERSION } from './protocol.ts';
import { defaultRestartLimits, type RestartLimits, RestartPolicy } from './restart-policy.ts';

export interface SupervisorTiming extends HealthTiming {
  restart: RestartLimits;
  /** for `initialize`, which loads backends and so GPU drivers, ms */
  startTimeout: number;
  /** for a `shutdown`, then it is killed, ms */
  shutdownTimeout: number;
}

export const defaultTiming: SupervisorTiming = { ...defaultHealthTiming, restart: defaultRestartLimits, startTimeout: 60_000, shutdownTimeout: 2000 };

export interface SupervisorOptions extends LaunchOptions {
  /** llama.cpp's version that this installation is made for, e.g. `0.5.0` (EngineLocation.llamaVersion) */
  llamaVersion: string;
  timing?: Partial<SupervisorTiming>;
}

type StatusListener = (status: EngineStatus) => void;

export class EngineSupervisor implements Engine {
  readonly #options: SupervisorOptions;
  readonly #timing: SupervisorTiming;
  readonly #logger: Logger;
  readonly #policy: RestartPolicy;
  readonly #listeners = new Set<StatusListener>();
  #status: EngineStatus = { state: 'stopped', processId: null, restarts: 0, llamaVersion: null, backends: [], error: null };
  #connection: EngineConnection | null = null;
  #health: HealthMonitor | null = null;
  #restartTimer: NodeJS.Timeout | undefined;
  /** why the current life must not be followed by another */
  #fatal: MoebiusError | null = null;
  /** of the current or next life; a new one once it is settled and that life is over */
  #ready = Promise.withResolvers<void>();
  #readySettled = false;
  /** the end of a life that `restart` or `dispose` ended */
  #closing: Promise<void> = Promise.resolve();
  #disposed = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#timing = { ...defaultTiming, ...options.timing };
    this.#logger = options.logger ?? silentLogger;
    this.#policy = new RestartPolicy(this.#timing.restart);
    this.#ready.promise.catch(() => {});
  }

  get status(): EngineStatus {
    return this.#status;
  }

  onStatus(listener: StatusListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Starts the engine unless it runs. Resolves when it is ready, over restarts too; rejects when it is given up (`engine.crash-loop`, `engine.version`, `engine.died`). */
  start(): Promise<void> {
    if (this.#disposed) return Promise.reject(disposedError());
    if (this.#status.state === 'stopped' && this.#status.error === null) this.#launch('starting');
    return this.#ready.promise;
  }

  async restart(): Promise<void> {
    if (this.#disposed) throw disposedError();
    this.#close('a restart was asked for');
    this.#policy.reset();
    this.#fatal = null;
    this.#renewReady();
    this.#set({ state: 'restarting', processId: null, error: null });
    await this.#closing;
    // another restart, or dispose, may have come first meanwhile
    if (!this.#disposed && this.#connection === null) this.#launch('restarting');
    return this.#ready.promise;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#close('the application closes');
    this.#settle(disposedError());
    await this.#closing;
    if (this.#status.state !== 'stopped') this.#set({ state: 'stopped', processId: null, error: null });
  }

  async call<M extends EngineMethod>(method: M, parameters: CallParameters<M>, options?: CallOptions): Promise<EngineResult<M>> {
    if (this.#disposed) throw disposedError();
    const { state, error } = this.#status;
    if (state === 'stopped')
      throw error === null ? startingError('has not been started yet') : new MoebiusError(error.code, error.message, { details: error.details });
    if (this.#connection === null || state === 'starting' || state === 'restarting')
      throw startingError(state === 'starting' ? 'is starting' : 'is being started again');
    if (state === 'unresponsive')
      throw new MoebiusError('engine.unresponsive', error?.message ?? 'The engine does not answer. Wait, or restart it.', { details: error?.details });
    return this.#connection.call(method, parameters, options);
  }

  #set(change: Partial<EngineStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#logger.info(`engine ${this.#status.state}${this.#status.error ? `: ${this.#status.error.message}` : ''}`);
    for (const listener of [...this.#listeners]) {
      try {
        listener(this.#status);
      } catch (error) {
        // a bug of the listener must not disturb the engine, nor hide the change from the others
        this.#logger.error(`a listener of the engine's status failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
  }

  #launch(state: 'starting' | 'restarting'): void {
    const connection = new EngineConnection(this.#options);
    this.#connection = connection;
    this.#set({ state, processId: connection.processId, error: state === 'starting' ? null : this.#status.error });
    void connection.ended.then((end) => this.#onEnd(connection, end));
    void this.#initialize(connection);
  }

  async #initialize(connection: EngineConnection): Promise<void> {
    const timer = setTimeout(() => connection.kill(`it did not start within ${this.#timing.startTimeout / 1000} s`), this.#timing.startTimeout);
    try {
      const parameters = { protocolVersion: PROTOCOL_VERSION, expectedLlamaVersion: this.#options.llamaVersion };
      const answer = await connection.call('initialize', parameters);
      checkVersions(answer, this.#options.llamaVersion);
      if (connection === this.#connection) this.#onReady(connection, answer);
    } catch (error) {
      const known = error instanceof MoebiusError ? error : new MoebiusError('internal', String(error), { cause: error });
      if (known.code === 'engine.version') this.#fatal = known;
      // after its death this is without effect, and its end is handled by #onEnd
      connection.kill(`it could not be initialised: ${known.message}`);
    } finally {
      clearTimeout(timer);
    }
  }

  #onReady(connection: EngineConnection, answer: Initialized): void {
    for (const { library, reason } of answer.backendProblems) this.#logger.warn(`backend ${library} is not used: ${reason}`);
    this.#health = new HealthMonitor(() => connection.call('ping', {}), this.#timing, {
      onUnresponsive: (milliseconds) => this.#onUnresponsive(connection, milliseconds),
      onRecovered: () => {
        connection.hung = false;
        this.#set({ state: 'ready', error: null });
      },
      onLost: (milliseconds) => connection.kill(`it did not answer for ${milliseconds / 1000} s`),
    });
    this.#set({ state: 'ready', processId: connection.processId, llamaVersion: answer.llamaVersion, backends: answer.backends, error: null });
    this.#settle();
  }

  #onUnresponsive(connection: EngineConnection, milliseconds: number): void {
    const seconds = milliseconds / 1000;
    const killSeconds = this.#timing.killAfter / 1000;
    const message = `The engine has not answered for ${seconds} s. If it does not within ${killSeconds} s more, it is killed and started again; running replies can be stopped now.`;
    this.#set({ state: 'unresponsive', error: { code: 'engine.unresponsive', message, details: { seconds, killSeconds } } });
    connection.hung = true;
  }

  #onEnd(connection: EngineConnection, end: EngineEnd): void {
    if (connection !== this.#connection) return;
    this.#connection = null;
    this.#health?.stop();
    this.#health = null;
    this.#renewReady();
    const next = this.#decide(connection, end);
    if (next instanceof MoebiusError) {
      this.#set({ state: 'stopped', processId: null, error: toErrorBody(next) });
      this.#settle(next);
    } else {
      this.#set({ state: 'restarting', processId: null, restarts: this.#status.restarts + 1, error: toErrorBody(deathError(end, null)) });
      this.#restartTimer = setTimeout(() => this.#launch('restarting'), next);
    }
  }

  /** Milliseconds until the next start, or why there is none. */
  #decide(connection: EngineConnection, end: EngineEnd): number | MoebiusError {
    if (this.#fatal !== null) return this.#fatal;
    // a program that cannot be started will not start the next time either
    if (end.spawnError !== null) return deathError(end, null);
    const decision = this.#policy.died(performance.now(), connection.producedTokens);
    return decision.restart ? decision.delay : crashLoopError(end, decision.deaths, this.#timing.restart.window);
  }

  /** Ends the current life on purpose; `#closing` resolves when it is over. */
  #close(cause: string): void {
    clearTimeout(this.#restartTimer);
    this.#health?.stop();
    this.#health = null;
    const connection = this.#connection;
    this.#connection = null;
    if (connection !== null) this.#closing = connection.shutdown(this.#timing.shutdownTimeout, cause);
  }

  #settle(error?: MoebiusError): void {
    this.#readySettled = true;
    if (error === undefined) this.#ready.resolve();
    else this.#ready.reject(error);
  }

  #renewReady(): void {
    if (!this.#readySettled) return;
    this.#readySettled = false;
    this.#ready = Promise.withResolvers<void>();
    this.#ready.promise.catch(() => {}); // callers of start() and restart() hear of it; nobody else has to
  }
}

/** Release numbers only: the engine may report a build suffix such as `-dev`. */
function checkVersions(answer: Initialized, expected: string): void {
  const release = (version: string) => /\d+(\.\d+)+/.exec(version)?.[0] ?? version;
  if (release(answer.llamaVersion) === release(expected) && answer.protocolVersion === PROTOCOL_VERSION) return;
  const found = `llama.cpp ${answer.llamaVersion}, protocol ${answer.protocolVersion}`;
  const wanted = `llama.cpp ${expected}, protocol ${PROTOCOL_VERSION}`;
  throw new MoebiusError(
    'engine.version',
    `The engine is of another version: it has ${found}; this program needs ${wanted}. Run "npm run build:native", or install the app again.`,
    {
      details: { found, wanted },
    },
  );
}

function startingError(what: string): MoebiusError {
  return new MoebiusError('engine.starting', `The engine ${what}; try again in a moment.`);
}

function disposedError(): MoebiusError {
  return new MoebiusError('engine.died', 'The engine was stopped because the application closes.');
}
