import { describe, expect, it } from 'vitest';
import { databaseAt, migrateTo } from './schema.ts';

const addRun = (state: string) => `
  INSERT INTO training_runs (id, name, model_id, model_path, folder, plan, state, progress, created_at)
  VALUES ('r', 'roman', 'tiny-moe', '/m.gguf', '/runs/r', '{}', '${state}', '{}', 1)`;

describe('migration 4, training', () => {
  it('adds runs to a database with models and leaves those as they are', () => {
    const sqlite = databaseAt(3);
    sqlite.exec("INSERT INTO models (id, path, source, added_at) VALUES ('tiny', '/m.gguf', 'added', 1)");
    migrateTo(sqlite, 4);
    expect(sqlite.prepare('SELECT id FROM models').pluck().all()).toEqual(['tiny']);
    sqlite.exec(addRun('queued'));
    expect(sqlite.prepare('SELECT interrupted, queue_position, unmoved, error FROM training_runs').get()).toEqual({
      interrupted: 0,
      queue_position: null,
      unmoved: '[]',
      error: null,
    });
  });

  it('takes no other state, and no run twice', () => {
    const sqlite = databaseAt(4);
    expect(() => sqlite.exec(addRun('asleep'))).toThrow('CHECK');
    sqlite.exec(addRun('paused'));
    expect(() => sqlite.exec(addRun('paused'))).toThrow('UNIQUE');
  });
});
