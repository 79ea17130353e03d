// A model as the reader of examples needs it: its chat template and its tokens.
import type { DatasetLoss, TrainingData } from '../../contract/datasets.ts';
import type { Engine } from '../../engine/engine.ts';
import type { LoadedModel } from '../../engine/protocol.ts';
import { type EncodeOptions, encodedDataset } from './encoded/encode.ts';
import type { EncodedManifest } from './encoded/format.ts';
import { keptDataset } from './encoded/kept.ts';
import { ExampleEncoder } from './encoder.ts';
import type { SurveyTokens } from './survey.ts';

const VALIDATION = 0.05;

/** Loads the model for its template and tokens alone, without its weights, and unloads it behind the work. */
export async function withTokeniser<T>(engine: Engine, path: string, work: (loaded: LoadedModel) => Promise<T>): Promise<T> {
  const loaded = await engine.call('model.load', { path, options: { vocabularyOnly: true } });
  try {
    return await work(loaded);
  } finally {
    await engine.call('model.unload', { model: loaded.model }).catch(() => undefined); // the engine may be gone
  }
}

export function surveyTokens(engine: Engine, loaded: LoadedModel, loss: DatasetLoss): SurveyTokens {
  return { encoder: new ExampleEncoder(engine, loaded.model, loss), model: loaded.path, loss, context: loaded.inspection.contextLength };
}

/** What a dataset is where its description says nothing. */
export function dataDefaults({ files, format, map, loss = 'replies', validation = VALIDATION, seed = 1 }: TrainingData) {
  return { files, format, map, loss, split: { validation, seed } };
}

/** The dataset as the trainer reads it, in `folder`: the one that is there if it is of the same data, else written now. `begun`: for a run that keeps it. Throws as encodedDataset, keptDataset. */
export function encodeFor(
  engine: Engine,
  loaded: LoadedModel,
  data: TrainingData,
  { begun, ...to }: Pick<EncodeOptions, 'folder' | 'onProgress' | 'signal'> & { begun?: { scratch: string } },
): Promise<EncodedManifest> {
  const { loss, ...rest } = dataDefaults(data);
  const { maxTokens = null, overLong = 'cut' } = data;
  const tokens = surveyTokens(engine, loaded, loss);
  const options = { ...rest, ...to, previews: 0, tokens, maxTokens, overLong, model: loaded, llamaVersion: engine.status.llamaVersion };
  return begun ? keptDataset(options, begun.scratch) : encodedDataset(options);
}
