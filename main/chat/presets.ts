import { GenerationParameters, type Handlers, MoebiusError, type Preset } from '../contract/index.ts';
import type { Database } from '../storage/database.ts';

/** Ship with the app; they cannot be changed or deleted, saving one makes a copy. */
export const builtInPresets: readonly Preset[] = [
  { id: 'default', name: 'Default', systemPrompt: '', parameters: {}, builtIn: true },
  {
    id: 'precise',
    name: 'Precise',
    systemPrompt: 'Answer accurately and briefly. Say so when you do not know.',
    parameters: { sampling: { temperature: 0.2, topP: 0.9, topK: 20 } },
    builtIn: true,
  },
  {
    id: 'creative',
    name: 'Creative',
    systemPrompt: 'You are an imaginative writer. Prefer the vivid and unexpected word over the safe one.',
    parameters: { sampling: { temperature: 1.1, topP: 1, topK: 0, minP: 0.05, presencePenalty: 0.3 } },
    builtIn: true,
  },
  {
    id: 'programmer',
    name: 'Programmer',
    systemPrompt: 'You are an experienced programmer. Answer with working code in fenced blocks that name their language, then explain in a few sentences.',
    parameters: { sampling: { temperature: 0.3, topP: 0.95, minP: 0.05 } },
    builtIn: true,
  },
];

interface PresetRow {
  id: string;
  name: string;
  system_prompt: string;
  parameters: string;
}

export type PresetMethod = 'presets.list' | 'presets.save' | 'presets.delete';

export interface PresetParts {
  database: Database;
  now: () => number;
  createId: () => string;
}

export class Presets {
  readonly #parts: PresetParts;

  constructor(parts: PresetParts) {
    this.#parts = parts;
  }

  readonly handlers: Handlers<PresetMethod> = {
    'presets.list': () => this.list(),
    'presets.save': ({ id, ...preset }) => this.#save(id, preset),
    'presets.delete': ({ id }) => this.#delete(id),
  };

  /** Built-in ones first, then the user's by name. */
  async list(): Promise<Preset[]> {
    const rows = await this.#parts.database.all<PresetRow>('SELECT * FROM presets ORDER BY name COLLATE NOCASE, created_at');
    return [...builtInPresets, ...rows.map(toPreset)];
  }

  /** Rejects with preset.not-found. */
  async get(id: string): Promise<Preset> {
    const preset = await this.find(id);
    if (preset === undefined) throw notFound(id);
    return preset;
  }

  async find(id: string): Promise<Preset | undefined> {
    const row = await this.#parts.database.get<PresetRow>('SELECT * FROM presets WHERE id = ?', [id]);
    return builtInPresets.find((preset) => preset.id === id) ?? (row && toPreset(row));
  }

  /** Without an id, or with a built-in one's: a new preset. */
  async #save(id: string | undefined, values: Omit<Preset, 'id' | 'builtIn'>): Promise<Preset> {
    const { database, now, createId } = this.#parts;
    const { name, systemPrompt, parameters } = values;
    if (id === undefined || isBuiltIn(id)) {
      const newId = createId();
      const columns = [newId, name, systemPrompt, JSON.stringify(parameters), now()];
      await database.run('INSERT INTO presets (id, name, system_prompt, parameters, created_at) VALUES (?, ?, ?, ?, ?)', columns);
      return this.get(newId);
    }
    const changed = await database.run('UPDATE presets SET name = ?, system_prompt = ?, parameters = ? WHERE id = ?', [
      name,
      systemPrompt,
      JSON.stringify(parameters),
      id,
    ]);
    if (changed.changes === 0) throw notFound(id);
    return this.get(id);
  }

  /** Chats that used it keep going without one. */
  async #delete(id: string): Promise<Record<string, never>> {
    if (isBuiltIn(id)) throw new MoebiusError('request.invalid', `The preset "${id}" is built in and cannot be deleted.`, { details: { id } });
    const [deleted] = await this.#parts.database.transaction([
      { sql: 'DELETE FROM presets WHERE id = ?', parameters: [id] },
      { sql: 'UPDATE chats SET preset_id = NULL WHERE preset_id = ?', parameters: [id] },
    ]);
    if (deleted?.changes !== 1) throw notFound(id);
    return {};
  }
}

function isBuiltIn(id: string): boolean {
  return builtInPresets.some((preset) => preset.id === id);
}

function toPreset(row: PresetRow): Preset {
  return { id: row.id, name: row.name, systemPrompt: row.system_prompt, parameters: GenerationParameters.parse(JSON.parse(row.parameters)), builtIn: false };
}

function notFound(id: string): MoebiusError {
  return new MoebiusError('preset.not-found', `There is no preset ${id}; it may have been deleted.`, { details: { id } });
}
