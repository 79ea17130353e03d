// One life of the engine process: spawn, calls, frames, end. It is never used again after its end; EngineSupervisor makes the next one.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { setImmediate } from 'node:timers/promises';
import { CancellationTokenSource, createMessageConnection, type MessageConnection, StreamMessageWriter } from 'vscode-jsonrpc/node';
import { MoebiusError } from '../contract/errors.ts';
import { deathError, type EngineEnd, isTransportError, toMoebiusError } from './call-errors.ts';
import type { CallOptions, CallParameters } from './engine.ts';
import { decodeFrame, type Frame, ProtocolViolation } from './frames.ts';
import { EngineLog, type Logger, silentLogger } from './log.ts';
import { type EngineMethod, type EngineResult, engineMethods, Progress } from './protocol.ts';
import { EngineMessageReader } from './reader.ts';

export interface LaunchOptions {
  command: string;
  args?: readonly string[];
  /** the whole environment of the process; default: this one's */
  environment?: Record<string, string | undefined>;
  logger?: Logger;
}

/** After its exit the process's pipes may still hold frames; something that inherited them may hold them open for ever. */
const DRAIN_MILLISECONDS = 200;
/** Between the failure of a pipe and the kill of a process that is still there. */
const PIPE_FAILURE_MILLISECONDS = 500;
/** Messages that the connection may still have queued when the pipes are drained; it handles one per turn of the event loop. */
const DRAIN_TURNS = 64;

interface PendingCall {
  method: EngineMethod;
  options: CallOptions;
  aborted: boolean;
  reject(error: MoebiusError): void;
}

/** Every call is settled at the latest when `ended` resolves. Handlers that throw are logged and do no harm to the stream. */
export class EngineConnection {
  readonly ended: Promise<EngineEnd>;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #rpc: MessageConnection;
  readonly #log: EngineLog;
  readonly #logger: Logger;
  readonly #pending = new Set<PendingCall>();
  readonly #generations = new Map<number, CallOptions>();
  readonly #progress = new Map<string, CallOptions>();
  #lastTicket = 0;
  #cause: string | null = null;
  #hung = false;
  #end: EngineEnd | null = null;
  #producedTokens = false;

  constructor(options: LaunchOptions) {
    this.#logger = options.logger ?? silentLogger;
    this.#log = new EngineLog(this.#logger);
    this.#process = spawn(options.command, options.args ?? [], { env: options.environment ?? process.env, stdio: 'pipe', windowsHide: true });
    this.#process.stderr.setEncoding('utf8').on('data', (chunk: string) => this.#log.append(chunk));
    const reader = new EngineMessageReader(this.#process.stdout, (bytes) => this.#onFrame(decodeFrame(bytes)));
    const rpcLog = (message: string) => this.#logger.error(`engine connection: ${message}`);
    this.#rpc = createMessageConnection(reader, new StreamMessageWriter(this.#process.stdin), { error: rpcLog, warn: rpcLog, info: rpcLog, log: rpcLog });
    this.#rpc.onError(([error]) => this.#onStreamError(error));
    this.#rpc.onNotification('$/progress', (parameters: unknown) => this.#onProgress(parameters));
    this.#rpc.listen();
    this.ended = this.#watchEnd();
  }

  /** Null when it could not be started. */
  get processId(): number | null {
    return this.#process.pid ?? null;
  }

  /** Whether any generation of this life produced a token. */
  get producedTokens(): boolean {
    return this.#producedTokens;
  }

  /** While true, calls that are or become aborted are rejected at once, for the engine cannot answer their cancellation. */
  set hung(hung: boolean) {
    this.#hung = hung;
    for (const call of hung ? [...this.#pending] : []) if (call.aborted) this.#giveUp(call);
  }

  /** As Engine.call. */
  call<M extends EngineMethod>(method: M, parameters: CallParameters<M>, options: CallOptions = {}): Promise<EngineResult<M>> {
    const cancellation = new CancellationTokenSource();
    const ticket = ++this.#lastTicket;
    return new Promise<EngineResult<M>>((resolve, reject) => {
      if (this.#end !== null) return reject(deathError(this.#end, method));
      const call: PendingCall = { method, options, aborted: false, reject };
      const onAbort = () => {
        call.aborted = true;
        cancellation.cancel();
        if (this.#hung) this.#giveUp(call);
      };
      this.#register(ticket, call);
      if (options.signal?.aborted) onAbort();
      else options.signal?.addEventListener('abort', onAbort, { once: true });
      const settled = () => {
        options.signal?.removeEventListener('abort', onAbort);
        this.#unregister(ticket, call);
      };
      call.reject = (error) => {
        settled();
        reject(error);
      };
      this.#send(method, { ...parameters, ...this.#tickets(method, ticket, options) }, cancellation)
        .then((result) => {
          settled();
          resolve(result);
        })
        .catch((error: unknown) => {
          // the process's end, which follows, tells more than a closed pipe does
          if (!isTransportError(error)) call.reject(toMoebiusError(error, method));
        });
    });
  }

  /** `cause` goes into the error that calls in flight are rejected with. */
  kill(cause: string): void {
    this.#cause ??= cause;
    this.#process.kill('SIGKILL');
  }

  /** Asks it to end; kills it after `milliseconds`. Resolves when it has ended. */
  async shutdown(milliseconds: number, cause: string): Promise<void> {
    this.#cause ??= cause;
    const timer = setTimeout(() => this.kill(cause), milliseconds);
    this.call('shutdown', {}).then(
      () => this.#process.stdin.end(),
      () => {},
    );
    await this.ended;
    clearTimeout(timer);
  }

  async #send<M extends EngineMethod>(method: M, parameters: object, cancellation: CancellationTokenSource): Promise<EngineResult<M>> {
    const result: unknown = await this.#rpc.sendRequest(method, parameters, cancellation.token);
    const parsed = engineMethods[method].result.safeParse(result);
    if (!parsed.success) throw new Error(`the engine's answer to ${method} is not what protocol.ts says: ${parsed.error.message}`);
    return parsed.data as EngineResult<M>; // parsed by the schema that EngineResult<M> is inferred from
  }

  #tickets(method: EngineMethod, ticket: number, options: CallOptions): { generation?: number; progressToken?: string } {
    return {
      ...(hasGeneration(method) && { generation: ticket }),
      ...(hasProgress(method) && options.onProgress && { progressToken: String(ticket) }),
    };
  }

  #register(ticket: number, call: PendingCall): void {
    this.#pending.add(call);
    if (hasGeneration(call.method)) this.#generations.set(ticket, call.options);
    if (call.options.onProgress) this.#progress.set(String(ticket), call.options);
  }

  #unregister(ticket: number, call: PendingCall): void {
    this.#pending.delete(call);
    this.#generations.delete(ticket);
    this.#progress.delete(String(ticket));
  }

  #giveUp(call: PendingCall): void {
    call.reject(new MoebiusError('cancelled', `Cancelled while the engine did not answer; what it does with the ${call.method} call is unknown.`));
  }

  #onProgress(parameters: unknown): void {
    const progress = Progress.safeParse(parameters);
    if (progress.success) {
      const { token, ...rest } = progress.data;
      this.#guard(() => this.#progress.get(token)?.onProgress?.(rest));
    } else this.kill(`it broke the protocol: a progress message that protocol.ts does not describe: ${progress.error.message}`);
  }

  /** Frames of generations that are over, or were given up, are dropped. */
  #onFrame(frame: Frame): void {
    if (frame.kind === 'tokens') this.#producedTokens = true;
    const handlers = this.#generations.get(frame.generation);
    if (handlers !== undefined) this.#guard(() => deliver(frame, handlers));
  }

  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#logger.error(`a handler of engine frames failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }

  /** A broken pipe is mostly the first sign of the process's end, whose own reason is the better one; so that gets time to arrive. */
  #onStreamError(error: Error): void {
    if (error instanceof ProtocolViolation) this.kill(`it broke the protocol: ${error.message}`);
    else setTimeout(() => this.kill(`its pipes failed: ${error.message}`), PIPE_FAILURE_MILLISECONDS).unref();
  }

  async #watchEnd(): Promise<EngineEnd> {
    const closed = new Promise<void>((resolve) => this.#process.once('close', () => resolve()));
    const exit = await new Promise<Pick<EngineEnd, 'code' | 'signal' | 'spawnError'>>((resolve) => {
      this.#process.once('exit', (code, signal) => resolve({ code, signal, spawnError: null }));
      // also emitted when a kill fails; only without a process id it means that there never was one
      this.#process.on('error', (error) => this.#process.pid === undefined && resolve({ code: null, signal: null, spawnError: error.message }));
    });
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, DRAIN_MILLISECONDS))]);
    for (let turn = 0; turn < DRAIN_TURNS; turn++) await setImmediate();
    this.#log.end();
    const end: EngineEnd = { ...exit, cause: this.#cause, lastLines: [...this.#log.lines] };
    this.#end = end;
    for (const call of [...this.#pending]) call.reject(deathError(end, call.method));
    this.#rpc.dispose();
    for (const stream of [this.#process.stdin, this.#process.stdout, this.#process.stderr]) stream.destroy();
    return end;
  }
}

function hasGeneration(method: EngineMethod): boolean {
  return method === 'generate' || method === 'model.logits';
}

const withProgress: readonly EngineMethod[] = ['generate', 'model.load', 'experts.writeLayout', 'experts.calibrate', 'train.open', 'train.export'];
const hasProgress = (method: EngineMethod): boolean => withProgress.includes(method);

function deliver(frame: Frame, handlers: CallOptions): void {
  if (frame.kind === 'tokens') handlers.onTokens?.(frame.tokens);
  else if (frame.kind === 'routing') handlers.onRouting?.(frame.frame);
  else if (frame.kind === 'routes') handlers.onRoutes?.(frame.frame);
  else handlers.onLogits?.(frame.frame);
}
