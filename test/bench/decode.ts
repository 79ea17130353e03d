import type { Benchmark, Case } from './support/benchmark.ts';
import { compareSpeed } from './support/compare-speed.ts';
import { buildLlamaTool } from './support/llama-tool.ts';
import { big, tiny } from './support/models.ts';

const benchmark: Benchmark = {
  description: 'whole generate runs (sampling, streaming, telemetry) against llama-bench of the same llama.cpp: prefill and decode',
  async run(context) {
    const program = await buildLlamaTool('llama-bench', context.log);
    const cases: Case[] = [];
    for (const model of [big(context.log), tiny]) cases.push(...(await compareSpeed(program, model, context)));
    return cases;
  },
};
export default benchmark;
