// Writes the layout file of a model: its experts once more, each in one piece, those that are used together side by side.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { MoebiusError } from '../contract/index.ts';
import type { LayoutWritten } from '../engine/protocol.ts';
import { withEngine } from './engine-session.ts';
import { everyTenth, formatBytes, print, printJson } from './output.ts';
import { embeddedModel } from './paths.ts';

interface LayoutFlags {
  trace?: string;
  json?: boolean;
}

export function addLayoutCommand(program: Command): void {
  program
    .command('layout')
    .description('write the experts of a model to a file beside it (MODEL.layout), from which they are read faster when they do not fit into RAM')
    .argument('[model]', 'GGUF file (default: the embedded tiny-moe)')
    .option('--trace <file>', 'a recording of this model ("moebius trace"): experts that it uses together come to lie side by side')
    .option('--json', 'one JSON object')
    .action(layout);
}

async function layout(model: string | undefined, flags: LayoutFlags): Promise<void> {
  const path = model === undefined ? embeddedModel() : resolve(model);
  if (!existsSync(path)) throw new MoebiusError('file.not-found', `There is no file ${path}.`, { details: { path } });
  const stop = new AbortController();
  const onInterrupt = () => stop.abort();
  process.once('SIGINT', onInterrupt);
  try {
    const parameters = { path, ...(flags.trace === undefined ? {} : { trace: resolve(flags.trace) }) };
    const result = await withEngine((engine) => engine.call('experts.writeLayout', parameters, { signal: stop.signal, onProgress: everyTenth() }));
    if (flags.json) printJson(result);
    else print(layoutText(result));
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

export function layoutText({ path, bytes, gain }: LayoutWritten): string {
  const written = `${path}: ${formatBytes(bytes)}; the model is loaded with it from now on (--expert-layout off: without)`;
  if (!gain) return written;
  const pieces = `${gain.pieces.toFixed(2)} instead of ${gain.piecesByIndex.toFixed(2)} pieces`;
  return `${written}\nThe ${gain.expertsPerToken.toFixed(2)} experts of a token and layer lie in ${pieces} (order from the trace's first half, counted on its second: ${gain.tokens} tokens).`;
}
