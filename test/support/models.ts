// Doubles of model cards for tests that need no engine.
import type { ModelCard } from '../../main/contract/index.ts';
import type { LoadedModel } from '../../main/engine/protocol.ts';

export function modelCard(id: string, change: Partial<ModelCard> = {}): ModelCard {
  return {
    id,
    path: `/models/${id}.gguf`,
    name: id,
    bytes: 1,
    source: 'folder',
    note: null,
    inspection: null,
    problem: null,
    state: { state: 'unloaded' },
    defaults: {},
    addedAt: 1_700_000_000_000,
    ...change,
  };
}

export function loadedModel(model: number): LoadedModel {
  // these tests look at the handle alone
  return { model } as LoadedModel;
}
