// Models whose routing is recorded for cache replays, and the texts that they go on with.
import { closeSync, copyFileSync, existsSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { withModel } from '../../../main/cli/engine-session.ts';
import { TraceWriter } from '../../../main/experts/trace-writer.ts';
import { readMetadata } from './gguf-metadata.ts';
import { benchFolder, tinyModel } from './paths.ts';

const HEAD_BYTES = 24;
const secondTrace = join(import.meta.dirname, '../../data/second-moe.moetrace');

/** All within what tiny-moe was trained on: prose, Spanish, dictionary, jargon, C++, JavaScript, arithmetic, and a talk. */
export const prompts = [
  'In those days the king sent messengers to all the cities of the plain, and they said to the elders: Why do you sit within your walls while the river rises? And the people answered them',
  'En aquellos días salió el pueblo de la ciudad, y subieron al monte, y dijo el anciano a sus hijos: Oíd, hijos míos, la palabra que',
  'What is a harbour? A harbour is a sheltered place where ships may lie. What is a lantern? A lantern is a light in a case of glass. What is a bridge?',
  'kludge: a clumsy repair that works. To kludge around: to avoid a bug without removing it. See also hack, and the entry for crock. lossage: the result of',
  '#include <string>\n#include <vector>\n\nclass table {\n  public:\n    explicit table(size_t rows) : cells(rows) {}\n    const std::string & at(size_t row) const {\n        return cells[row];\n    }\n\n  private:\n',
  'export function groupBy(items, keyOf) {\n  const groups = new Map();\n  for (const item of items) {\n    const key = keyOf(item);\n    const group = groups.get(key) ?? [];\n',
  '17 + 25 = 42. 9 * 6 = 54. 81 - 19 = 62. 144 / 12 = 12. 33 + 48 = 81. 7 * 13 = 91. 100 - 37 =',
  '<|im_start|>user\nWhat is a shepherd?<|im_end|>\n<|im_start|>assistant\nA shepherd keeps sheep.<|im_end|>\n<|im_start|>user\nAnd what is a flock?<|im_end|>\n<|im_start|>assistant\n',
];

/** Tokens of each reply; with the longest prompt they fit the context of tiny-moe. */
const REPLY = 384;
const CONTEXT = 512;

export interface TracedModel {
  name: string;
  /** a .moetrace file */
  trace: string;
}

/**
 * tiny-moe with another number of experts per token. The router, the experts and the text it was trained on are the same, but each token takes the next best experts too and its hidden
 * state, and so all later routing and the text that it writes, differ.
 */
function withExpertsUsed(used: number): string {
  const path = join(benchFolder(), `tiny-moe-top-${used}.gguf`);
  if (existsSync(path)) return path;
  let offset = HEAD_BYTES;
  for (const { key, raw, valueOffset } of readMetadata(tinyModel)) {
    if (key.endsWith('.expert_used_count')) {
      copyFileSync(tinyModel, path);
      const file = openSync(path, 'r+');
      writeSync(file, new Uint8Array(new Uint32Array([used]).buffer), 0, 4, offset + valueOffset);
      closeSync(file);
      return path;
    }
    offset += raw.length;
  }
  throw new Error('tiny-moe does not say how many experts it uses');
}

export interface Recording {
  texts: readonly string[];
  reply: number;
  contextLength: number;
  /** each text is gone on with once with each */
  seeds: readonly number[];
}

/** Records the routing of every text and what the model goes on with. */
export async function record(model: string, trace: string, threads: number, { texts, reply, contextLength, seeds }: Recording): Promise<void> {
  await withModel(model, { contextLength, sequences: 1, threads, gpuLayers: 0 }, async ({ generations, loaded, modelId }) => {
    const { name, architecture, moeLayers, expertCount, expertUsedCount } = loaded.inspection;
    const writer = await TraceWriter.create(trace, { model: name, architecture, moeLayers, expertCount, expertUsedCount });
    const writes: Promise<void>[] = [];
    const runs = texts.flatMap((prompt) => seeds.map((seed) => ({ prompt, seed })));
    for (const [sequence, { prompt, seed }] of runs.entries()) {
      const request = {
        modelId,
        input: { prompt },
        sampling: { seed, temperature: 0.8 },
        maxTokens: reply,
        ignoreEndOfGeneration: true,
        routes: true,
        cachePrompt: false,
      };
      await generations.start(request, { onRoutes: (frame) => void writes.push(writer.write(sequence, frame)) }).done;
    }
    await Promise.all(writes);
    await writer.close();
  });
}

/** The model of test/reference/second-moe: it was trained on windows of 256 tokens, and on no source code. */
export function recordSecondMoe(model: string, trace: string): Promise<void> {
  const texts = prompts.filter((text) => !/^(#include|export)/.test(text));
  return record(model, trace, 1, { texts, reply: 150, contextLength: 256, seeds: [7, 8] });
}

/** Records tiny-moe, or it with another number of experts per token; returns the path of the trace. */
export async function recordTiny(model: string, used: number, threads: number, log: (text: string) => void): Promise<string> {
  const trace = join(benchFolder(), `hit-rate-top-${used}.moetrace`);
  log(`recording tiny-moe, ${used} of 32: ${prompts.length} texts, ${REPLY} tokens each`);
  await record(model, trace, threads, { texts: prompts, reply: REPLY, contextLength: CONTEXT, seeds: [7] });
  return trace;
}

/** Records tiny-moe as every checkout can run it, and adds the committed trace of the second model and what traces of others lie in `traces` of the bench folder. */
export async function tracedModels(threads: number, log: (text: string) => void): Promise<TracedModel[]> {
  const models = [
    { name: 'tiny-moe, 2 of 32', trace: await recordTiny(tinyModel, 2, threads, log) },
    { name: 'tiny-moe, 4 of 32', trace: await recordTiny(withExpertsUsed(4), 4, threads, log) },
  ];
  const folder = join(benchFolder(), 'traces');
  const others = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.moetrace')) : [];
  return [
    ...models,
    { name: 'second-moe, 8 of 64', trace: secondTrace },
    ...others.map((file) => ({ name: file.replace(/\.moetrace$/, ''), trace: join(folder, file) })),
  ];
}
