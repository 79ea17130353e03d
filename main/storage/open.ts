// The asynchronous half: starts the database thread and turns calls into messages.
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { MoebiusError } from '../contract/errors.ts';
import type { Operation } from './connection.ts';
import type { Database, SqlValue, Statement } from './database.ts';
import { fromWireError } from './received-errors.ts';
import type { WorkerInput, WorkerReply, WorkerRequest } from './worker.ts';

export interface OpenOptions {
  logger?: Pick<Logger, 'info' | 'warn'>;
}

/**
 * Opens the app's database, creating it and its folder if need be, and brings its schema up to date. One at a time, over all processes.
 * Rejects with MoebiusError: storage.locked, storage.newer, storage.corrupt (the file has then been set aside), storage.failed, disk.full.
 */
export async function openDatabase(path: string, options: OpenOptions = {}): Promise<Database> {
  const input: WorkerInput = { path };
  // the one place that names the worker's entry: bundlers find it by this very expression; flags of the process are not the worker's
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: input, name: 'database', execArgv: [] });
  const database = new WorkerDatabase(worker, path, options);
  await database.opened;
  return database;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

class WorkerDatabase implements Database {
  readonly opened: Promise<void>;
  readonly #worker: Worker;
  readonly #path: string;
  readonly #options: OpenOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #lastId = 0;
  /** set once no further call can succeed */
  #ended: Error | undefined;
  #closing: Promise<void> | undefined;

  constructor(worker: Worker, path: string, options: OpenOptions) {
    this.#worker = worker;
    this.#path = path;
    this.#options = options;
    this.opened = new Promise((resolve, reject) => this.#pending.set(0, { resolve: () => resolve(), reject }));
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    worker.on('message', (reply: WorkerReply) => this.#receive(reply));
    worker.on('error', (error) => this.#end(error));
    worker.on('exit', (code) => this.#end(`exit code ${code}`));
  }

  async all<Row>(sql: string, parameters?: SqlValue[]): Promise<Row[]> {
    // the caller states the row's shape, as the interface says; nothing at run time could
    return (await this.#call({ kind: 'all', statement: { sql, parameters } })) as Row[];
  }

  async get<Row>(sql: string, parameters?: SqlValue[]): Promise<Row | undefined> {
    // as above
    return (await this.#call({ kind: 'get', statement: { sql, parameters } })) as Row | undefined;
  }

  async run(sql: string, parameters?: SqlValue[]): Promise<{ changes: number }> {
    // Connection.execute answers `run` with exactly this
    return (await this.#call({ kind: 'run', statement: { sql, parameters } })) as { changes: number };
  }

  async transaction(statements: Statement[]): Promise<{ changes: number }[]> {
    // Connection.execute answers `transaction` with exactly this
    return (await this.#call({ kind: 'transaction', statements })) as { changes: number }[];
  }

  /** After every call made before it. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#ended !== undefined) return;
    const closed = this.#send((id) => ({ id, close: true }));
    this.#ended = new MoebiusError('storage.failed', `The database ${this.#path} is closed.`);
    await closed;
    await this.#exited;
  }

  #call(operation: Operation): Promise<unknown> {
    return this.#send((id) => ({ id, operation }));
  }

  async #send(request: (id: number) => WorkerRequest): Promise<unknown> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = ++this.#lastId;
    this.#worker.postMessage(request(id));
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  #receive(reply: WorkerReply): void {
    if ('opened' in reply) {
      this.#options.logger?.info({ path: this.#path, ...reply.opened }, 'database opened');
      if (reply.opened.journalMode !== 'wal')
        this.#options.logger?.warn({ path: this.#path, journalMode: reply.opened.journalMode }, 'no write-ahead log here');
      this.#take(0)?.resolve(undefined);
    } else if ('failed' in reply) this.#fail(fromWireError(reply.failed));
    else if ('error' in reply) this.#take(reply.id)?.reject(fromWireError(reply.error));
    else this.#take(reply.id)?.resolve(reply.result);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #end(cause: unknown): void {
    if (this.#ended === undefined) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `The database thread ended unexpectedly (${reason}). What was acknowledged before is stored; restart Moebius to go on.`;
      this.#ended = new MoebiusError('storage.failed', message, { details: { path: this.#path }, cause });
    }
    this.#fail(this.#ended);
  }

  #fail(error: Error): void {
    this.#ended ??= error;
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }
}
