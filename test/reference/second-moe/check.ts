// The engine against PyTorch: logits behind one prompt. Usage: node check.ts FILE.gguf (with FILE.gguf.json beside it, as train.py writes it).
import { readFileSync } from 'node:fs';
import { withModel } from '../../../main/cli/engine-session.ts';

/** Largest difference of a logit: both compute in 32 bits, but in another order, and the engine's KV cache is f16. */
const TOLERANCE = 0.02;

const path = process.argv[2];
if (path === undefined) throw new Error('Usage: node check.ts FILE.gguf');
const expected: { promptTokens: number[]; logits: number[] } = JSON.parse(readFileSync(`${path}.json`, 'utf8'));

await withModel(path, { sequences: 1, gpuLayers: 0 }, async ({ engine, loaded }) => {
  let logits = new Float32Array();
  const onLogits = (frame: { logits: Float32Array }) => {
    logits = new Float32Array(frame.logits);
  };
  await engine.call('model.logits', { model: loaded.model, tokens: expected.promptTokens }, { onLogits });
  if (logits.length !== expected.logits.length) throw new Error(`${logits.length} logits, not ${expected.logits.length}`);
  const largest = Math.max(...logits.map((logit, id) => Math.abs(logit - (expected.logits[id] ?? Number.NaN))));
  const [best, bestExpected] = [logits.indexOf(Math.max(...logits)), expected.logits.indexOf(Math.max(...expected.logits))];
  process.stdout.write(`largest difference of ${logits.length} logits: ${largest.toFixed(5)}; most likely token ${best}, PyTorch's ${bestExpected}\n`);
  if (!(largest <= TOLERANCE) || best !== bestExpected) process.exitCode = 1;
});
