import { type ModelSession, withModel } from '../../main/cli/engine-session.ts';
import { alternate, type BenchContext, type Benchmark, type Case, toCase } from './support/benchmark.ts';
import { type BenchModel, big, tiny, wordPrompt } from './support/models.ts';

const CONVERSATIONS = 4;
/** faster together than one after the other */
const BAR = 1.001;

const benchmark: Benchmark = {
  description: `${CONVERSATIONS} conversations at once against one after the other: tokens per second of all`,
  async run(context) {
    return [await compare({ ...big(context.log), prompt: 32, generate: 48 }, context), await compare({ ...tiny, prompt: 32, generate: 96 }, context)];
  },
};
export default benchmark;

async function compare(model: BenchModel, { threads, runs, log, command }: BenchContext): Promise<Case> {
  const options = { threads, batch: 512, sequences: CONVERSATIONS, contextLength: model.prompt + model.generate, gpuLayers: 0 };
  command(`${model.name}, both sides`, ['model.load', JSON.stringify({ path: model.path, options })]);
  return withModel(model.path, options, async (session) => {
    const together = (run: number) => measure(session, model, (start) => Promise.all(numbers.map((index) => start(run * CONVERSATIONS + index))));
    const inTurn = (run: number) =>
      measure(session, model, async (start) => {
        for (const index of numbers) await start(run * CONVERSATIONS + index);
      });
    log(`${model.name}: warming up`);
    await together(runs);
    await inTurn(runs);
    const [ours, baseline] = await alternate(runs, [together, inTurn]);
    for (const [index, speed] of ours.entries())
      log(`  ${model.name} ${index + 1}: ${speed.toFixed(1)} together, ${baseline[index]?.toFixed(1)} in turn, tokens/s`);
    return toCase({ case: `${model.name}, ${CONVERSATIONS} conversations`, ours, baseline, unit: 'tokens/s', bar: BAR });
  });
}

const numbers = Array.from({ length: CONVERSATIONS }, (_, index) => index);

/** Generated tokens of all conversations per second from the first start to the last end. */
async function measure(session: ModelSession, model: BenchModel, perform: (start: (seed: number) => Promise<void>) => Promise<unknown>): Promise<number> {
  let tokens = 0;
  const start = async (seed: number) => {
    const input = { prompt: wordPrompt(model.prompt, seed + 2000) };
    const sampling = { seed, temperature: 0.8 };
    const request = {
      modelId: session.modelId,
      input,
      sampling,
      maxTokens: model.generate,
      ignoreEndOfGeneration: true,
      cachePrompt: false,
      cacheKey: String(seed),
    };
    const outcome = await session.generations.start(request).done;
    tokens += outcome.tokens;
  };
  const before = performance.now();
  await perform(start);
  const seconds = (performance.now() - before) / 1000;
  if (tokens !== CONVERSATIONS * model.generate) throw new Error(`${tokens} tokens instead of ${CONVERSATIONS * model.generate}`);
  return tokens / seconds;
}
