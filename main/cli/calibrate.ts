// Measures which layers of a model mind doing without their less important experts: what --skip-budget needs.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Calibration, type LoadOptions, MoebiusError } from '../contract/index.ts';
import { withEngine, withModel } from './engine-session.ts';
import { addModelOptions, type ModelFlags, toLoadOptions, UsageError } from './options.ts';
import { everyTenth, formatTable, print, printJson } from './output.ts';
import { embeddedModel } from './paths.ts';

interface CalibrateFlags extends ModelFlags {
  text?: string;
  json?: boolean;
}

export function addCalibrateCommand(program: Command): void {
  const command = program
    .command('calibrate')
    .description(
      'measure, layer by layer, how much a model minds doing without its less important experts (kept beside it, MODEL.sensitivity), for --skip-budget',
    );
  addModelOptions(command)
    .requiredOption('--text <file>', 'text of the kind that the model is used for, 256 tokens or more; the first 1024 are used')
    .option('--json', 'one JSON object')
    .action(calibrate);
}

async function calibrate(model: string | undefined, flags: CalibrateFlags): Promise<void> {
  const text = await readFile(flags.text ?? '', 'utf8').catch((error: Error) => {
    throw new UsageError(`--text: ${error.message}`);
  });
  const options = { ...toLoadOptions(flags), telemetry: false };
  await withModel(model ?? flags.model, { ...options, expertRamBytes: await expertRam(model ?? flags.model, options) }, async ({ engine, loaded }) => {
    const stop = new AbortController();
    const onInterrupt = () => stop.abort();
    process.once('SIGINT', onInterrupt);
    try {
      const result = await engine.call('experts.calibrate', { model: loaded.model, text }, { signal: stop.signal, onProgress: everyTenth() });
      if (flags.json) printJson(result);
      else print(calibrationText(result));
    } catch (error) {
      if (stop.signal.aborted) throw new MoebiusError('cancelled', 'The calibration was cancelled; nothing was written.');
      throw error;
    } finally {
      process.off('SIGINT', onInterrupt);
    }
  });
}

/** What a load would give an expert cache; all experts where it would need none. */
async function expertRam(model: string | undefined, options: LoadOptions): Promise<number> {
  const path = model === undefined ? embeddedModel() : resolve(model);
  const { expertRoom, options: used } = await withEngine((engine) => engine.call('model.estimate', { path, options }));
  if (expertRoom === null)
    throw new MoebiusError('request.invalid', `${path} has no routed experts that an expert cache could leave out.`, { details: { path } });
  return used.expertRamBytes || expertRoom.ramBytesMost;
}

export function calibrationText({ path, tokens, layers, checks }: Calibration): string {
  const harm = (nats: number) => nats.toFixed(4);
  const percent = (share: number) => `${(share * 100).toFixed(1)}%`;
  const sensitivity = layers.map(({ layer, steps }) => {
    const last = steps.at(-1);
    return [`${layer}`, harm(last?.harm ?? 0), percent(last?.skipped ?? 0)];
  });
  const checked = checks.map((check) => [`${check.budget}`, harm(check.harm), percent(check.skipped)]);
  return [
    `${path}: measured on ${tokens} tokens.`,
    '',
    formatTable([['layer', 'harm without all but the first expert', 'of assignments'], ...sensitivity]),
    '',
    'Harm is the mean KL divergence of the next-token distribution, nats per token. On text that was not measured on, with everything left out that a budget allows:',
    '',
    formatTable([['budget', 'harm', 'left out'], ...checked]),
  ].join('\n');
}
