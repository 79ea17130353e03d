// The app's settings: one row of JSON, kept in memory, changed through one door.
import { type Handlers, MoebiusError, type Publish, Settings } from '../contract/index.ts';
import type { Database } from '../storage/database.ts';
import { readStoredSettings } from './stored.ts';
import { validateSettings } from './validate.ts';

const rowKey = 'settings';

export type SettingsListener = (settings: Settings, previous: Settings) => void;

/** Call `start` once before anything else; `current` is then always there, without waiting. */
export class SettingsService {
  readonly #database: Database;
  readonly #publish: Publish;
  readonly #listeners = new Set<SettingsListener>();
  #current: Settings;
  #changes: Promise<unknown> = Promise.resolve();

  constructor(database: Database, defaults: Settings, publish: Publish) {
    this.#database = database;
    this.#publish = publish;
    this.#current = defaults;
  }

  readonly handlers: Handlers<'settings.get' | 'settings.set'> = {
    'settings.get': () => this.#current,
    'settings.set': (change) => this.set(change),
  };

  /** Reads what is stored. */
  async start(): Promise<void> {
    const row = await this.#database.get<{ value: string }>('SELECT value FROM settings WHERE key = ?', [rowKey]);
    this.#current = readStoredSettings(row?.value, this.#current);
  }

  get current(): Settings {
    return this.#current;
  }

  /** Durable when it resolves. Changes are applied one after another, so two at once do not undo each other. */
  set(change: Partial<Settings>): Promise<Settings> {
    const result = this.#changes.then(() => this.#apply(change));
    this.#changes = result.catch(() => undefined);
    return result;
  }

  /** Called after a change is stored. Returns the unsubscribe function. */
  onChange(listener: SettingsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #apply(change: Partial<Settings>): Promise<Settings> {
    const previous = this.#current;
    const parsed = Settings.safeParse({ ...previous, ...change });
    if (!parsed.success)
      throw new MoebiusError(
        'request.invalid',
        `These settings cannot be used: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}.`,
      );
    const next = await validateSettings(parsed.data, previous);
    await this.#database.run('INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value', [
      rowKey,
      JSON.stringify(next),
    ]);
    this.#current = next;
    this.#publish('settings.changed', next);
    for (const listener of this.#listeners) listener(next, previous);
    return next;
  }
}
