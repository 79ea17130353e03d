import { withModel } from '../../main/cli/engine-session.ts';
import type { Engine } from '../../main/engine/engine.ts';
import { alternate, type BenchContext, type Benchmark, type Case, toCase } from './support/benchmark.ts';
import { type BenchModel, big, tiny, wordPrompt } from './support/models.ts';

/** Observing the router may leave this share of the speed at least. */
const BAR = 0.97;
/** Many short turns for every run that was asked: 3% is less than what one long run differs from the next. */
const TURNS = 6;
const GENERATE = 48;

const benchmark: Benchmark = {
  description: 'router telemetry on against off, in one engine: prefill and decode',
  async run(context) {
    const cases: Case[] = [];
    for (const model of [big(context.log), tiny]) cases.push(...(await compare({ ...model, generate: GENERATE }, context)));
    return cases;
  },
};
export default benchmark;

interface Speeds {
  prefill: number;
  decode: number;
}

/** Both variants of the model are loaded side by side, so that nothing but the observer differs. */
async function compare(model: BenchModel, { threads, runs, log, command }: BenchContext): Promise<Case[]> {
  const options = { threads, batch: 512, sequences: 1, contextLength: model.prompt + model.generate, gpuLayers: 0 };
  for (const telemetry of [true, false])
    command(`${model.name}, telemetry ${telemetry ? 'on' : 'off'}`, ['model.load', JSON.stringify({ path: model.path, options: { ...options, telemetry } })]);
  return withModel(model.path, { ...options, telemetry: true }, async ({ engine, loaded }) => {
    const silent = await engine.call('model.load', { path: model.path, options: { ...options, telemetry: false } });
    const on = (run: number) => measure(engine, loaded.model, model, run, true);
    const off = (run: number) => measure(engine, silent.model, model, run, false);
    log(`${model.name}: warming up`);
    await on(-1);
    await off(-1);
    const [ours, baseline] = await alternate(runs * TURNS, [on, off]);
    for (const [index, speeds] of ours.entries()) {
      const other = baseline[index];
      log(
        `  ${model.name} ${index + 1}: prefill ${speeds.prefill.toFixed(1)} / ${other?.prefill.toFixed(1)}, decode ${speeds.decode.toFixed(1)} / ${other?.decode.toFixed(1)} tokens/s (on / off)`,
      );
    }
    const pick = (side: keyof Speeds) => ({
      ours: ours.map((speeds) => speeds[side]),
      baseline: baseline.map((speeds) => speeds[side]),
      unit: 'tokens/s',
      bar: BAR,
    });
    return [toCase({ case: `${model.name}, prefill`, ...pick('prefill') }), toCase({ case: `${model.name}, decode`, ...pick('decode') })];
  });
}

/** One generation through the real client. Run n has the same prompt on both sides. */
async function measure(engine: Engine, handle: number, model: BenchModel, run: number, telemetry: boolean): Promise<Speeds> {
  let frames = 0;
  let text = '';
  const request = {
    model: handle,
    prompt: wordPrompt(model.prompt, run + 1000),
    maxTokens: model.generate,
    sampling: { seed: 7, temperature: 0.8 },
    ignoreEndOfGeneration: true,
    cachePrompt: false,
  };
  const result = await engine.call('generate', request, {
    onTokens: (tokens) => {
      text += tokens.map((token) => token.text).join('');
    },
    onRouting: () => {
      frames++;
    },
  });
  if (text === '' || frames > 0 !== telemetry) throw new Error(`telemetry ${telemetry}: ${frames} routing frames, ${text.length} characters`);
  return { prefill: (result.promptTokens * 1000) / result.promptMilliseconds, decode: ((result.tokens - 1) * 1000) / result.decodeMilliseconds };
}
