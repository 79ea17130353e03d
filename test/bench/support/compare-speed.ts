// Prefill and decode of one model: whole `moebius generate` processes and llama-bench in turn.
import { alternate, type BenchContext, type Case, median, toCase } from './benchmark.ts';
import { type LlamaBenchOptions, llamaBenchParameters, runLlamaBench } from './llama-bench.ts';
import { type BenchModel, wordPrompt } from './models.ts';
import { type GenerateOptions, generateParameters, runGenerate, type Speeds } from './moebius-generate.ts';

const BATCH = 512;

/** `program`: llama-bench. Two cases. */
export async function compareSpeed(program: string, model: BenchModel, context: BenchContext): Promise<Case[]> {
  const { threads, runs, log } = context;
  const generate = (seed: number): GenerateOptions => ({
    model: model.path,
    threads,
    batch: BATCH,
    prompt: wordPrompt(model.prompt, seed),
    promptTokens: model.prompt,
    generate: model.generate,
    telemetry: true,
  });
  const test = { model: model.path, threads, batch: BATCH };
  const prefill: LlamaBenchOptions = { ...test, prompt: model.prompt, generate: 0, depth: 0 };
  // Our decode starts behind the prompt, so the baseline's does.
  const decode: LlamaBenchOptions = { ...test, prompt: 0, generate: model.generate, depth: model.prompt };
  context.command(`${model.name}, ours`, ['moebius', ...generateParameters(generate(0), `(${model.prompt} random words)`)]);
  context.command(`${model.name}, prefill baseline`, ['llama-bench', ...llamaBenchParameters(prefill)]);
  context.command(`${model.name}, decode baseline`, ['llama-bench', ...llamaBenchParameters(decode)]);

  const ours = (run: number): Promise<Speeds> => runGenerate(generate(run + 1));
  const baseline = async (): Promise<Speeds> => {
    const start = performance.now();
    return { prefill: await runLlamaBench(program, prefill), decode: await runLlamaBench(program, decode), wall: performance.now() - start };
  };
  log(`${model.name}: warming up`);
  await ours(-1);
  await baseline();
  const [us, them] = await alternate(runs * model.turns, [
    async (run) => report(`${model.name} ours ${run + 1}`, await ours(run), log),
    async (run) => report(`${model.name} llama-bench ${run + 1}`, await baseline(), log),
  ]);
  log(`${model.name}: a whole generate process took ${Math.round(median(us.map(({ wall }) => wall)))} ms with starting and loading (median)`);
  const pick = (side: 'prefill' | 'decode') => ({
    ours: us.map((speeds) => speeds[side]),
    baseline: them.map((speeds) => speeds[side]),
    unit: 'tokens/s',
    bar: model.bars[side],
  });
  return [
    toCase({ case: `${model.name}, prefill ${model.prompt}`, ...pick('prefill') }),
    toCase({ case: `${model.name}, decode ${model.generate} at ${model.prompt}`, ...pick('decode') }),
  ];
}

function report(side: string, speeds: Speeds, log: (text: string) => void): Speeds {
  log(`  ${side}: prefill ${speeds.prefill.toFixed(1)}, decode ${speeds.decode.toFixed(1)} tokens/s`);
  return speeds;
}
