// Everything in RAM: our fused expert FFN against llama.cpp with the weights as it likes them, repacked where it does that.
import type { Benchmark, Case } from './support/benchmark.ts';
import { compareSpeed } from './support/compare-speed.ts';
import { buildLlamaTool } from './support/llama-tool.ts';
import { type BenchModel, big, bigIn } from './support/models.ts';

/** llama.cpp does not repack it on x86: the experts are ours. */
const OURS = { prefill: 1, decode: 1 };
/** Types that llama.cpp repacks, in part (Q4_K_M) or in whole: those layers are left to it, and the rest is as in `decode`. */
const THEIRS = { prefill: 0.97, decode: 0.97 };

const benchmark: Benchmark = {
  description: 'a MoE of fine-grained experts that fits into RAM, in three quantisations, against llama-bench with repacking: prefill and decode',
  async run(context) {
    const program = await buildLlamaTool('llama-bench', context.log);
    const models: BenchModel[] = [
      { ...big(context.log), name: '1.1 GB MoE, Q8_0', bars: OURS },
      { ...(await bigIn('Q4_K_M', context.log)), bars: THEIRS },
      { ...(await bigIn('Q4_0', context.log)), bars: THEIRS },
    ];
    const cases: Case[] = [];
    for (const model of models) cases.push(...(await compareSpeed(program, model, context)));
    return cases;
  },
};
export default benchmark;
