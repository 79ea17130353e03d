// Starts and stops the endpoint as the settings say, and keeps its key.
import { type ApiStatus, type Handlers, type Publish, type Settings, toErrorBody } from '../../contract/index.ts';
import type { Database } from '../../storage/database.ts';
import { keyMatches, StoredKey, storeKey } from './api-key.ts';
import { type ApiServer, type ApiServerOptions, startApiServer } from './api-server.ts';

const KEY_ROW = 'apiKey';
type ApiSettings = Settings['api'];

export class ApiService {
  readonly #database: Database;
  readonly #options: Omit<ApiServerOptions, 'port' | 'keyMatches'>;
  readonly #publish: Publish;
  #server: ApiServer | null = null;
  #key: StoredKey | null = null;
  #applied: ApiSettings = { enabled: false, port: 0 };
  #error: ApiStatus['error'] = null;
  #queue: Promise<void> = Promise.resolve();

  readonly handlers: Pick<Handlers, 'api.status' | 'api.setKey'> = {
    'api.status': () => this.status(),
    'api.setKey': ({ key }) => this.setKey(key),
  };

  constructor(database: Database, publish: Publish, options: Omit<ApiServerOptions, 'port' | 'keyMatches'>) {
    this.#database = database;
    this.#publish = publish;
    this.#options = options;
  }

  /** Reads the stored key and starts the endpoint if the settings want it. Never rejects: a taken port is told by `status`. */
  async start(settings: ApiSettings): Promise<void> {
    const row = await this.#database.get<{ value: string }>('SELECT value FROM settings WHERE key = ?', [KEY_ROW]);
    if (row) this.#key = StoredKey.parse(JSON.parse(row.value));
    await this.apply(settings);
  }

  /** Follows changed settings; calls are carried out one after the other. */
  apply(settings: ApiSettings): Promise<void> {
    this.#queue = this.#queue.then(() => this.#apply(settings));
    return this.#queue;
  }

  status(): ApiStatus {
    return {
      running: this.#server !== null,
      url: this.#server ? `http://127.0.0.1:${this.#server.port}/v1` : null,
      keyRequired: this.#key !== null,
      error: this.#error,
    };
  }

  async setKey(key: string | null): Promise<ApiStatus> {
    if (key === null) {
      await this.#database.run('DELETE FROM settings WHERE key = ?', [KEY_ROW]);
      this.#key = null;
    } else {
      const stored = storeKey(key);
      await this.#database.run('INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)', [KEY_ROW, JSON.stringify(stored)]);
      this.#key = stored;
    }
    await this.#restart();
    return this.status();
  }

  async dispose(): Promise<void> {
    await this.#queue;
    await this.#stop();
  }

  async #apply(settings: ApiSettings): Promise<void> {
    const unchanged = settings.enabled === this.#applied.enabled && settings.port === this.#applied.port;
    if (unchanged && this.#error === null) return;
    this.#applied = settings;
    await this.#stop();
    this.#error = null;
    if (settings.enabled) await this.#listen(settings.port);
    this.#publish('api.changed', this.status());
  }

  async #listen(port: number): Promise<void> {
    const stored = this.#key;
    try {
      this.#server = await startApiServer({ ...this.#options, port, keyMatches: stored && ((key) => keyMatches(stored, key)) });
    } catch (error) {
      this.#error = toErrorBody(error);
    }
  }

  /** The key is part of a running server: a new one counts from the next request on, at the same address. */
  #restart(): Promise<void> {
    this.#queue = this.#queue.then(async () => {
      const port = this.#server?.port;
      await this.#stop();
      if (port !== undefined) await this.#listen(port);
      this.#publish('api.changed', this.status());
    });
    return this.#queue;
  }

  async #stop(): Promise<void> {
    await this.#server?.close();
    this.#server = null;
  }
}
