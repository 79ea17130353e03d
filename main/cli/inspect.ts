import type { Command } from 'commander';
import type { Inspection } from '../contract/index.ts';
import { withEngine } from './engine-session.ts';
import { formatBytes, formatCount, formatTable, print, printJson } from './output.ts';
import { embeddedModel } from './paths.ts';

export function addInspectCommand(program: Command): void {
  program
    .command('inspect')
    .description('what a GGUF file holds: layers, experts, quantisation, parameters')
    .argument('[model]', 'GGUF file (default: the embedded tiny-moe)')
    .option('--json', 'one JSON object')
    .action(async (model: string | undefined, flags: { json?: boolean }) => {
      const inspection = await withEngine((engine) => engine.call('model.inspect', { path: model ?? embeddedModel() }));
      if (flags.json) printJson(inspection);
      else print(inspectionText(inspection));
    });
}

function inspectionText(model: Inspection): string {
  const share = (model.activeParameterCount / model.parameterCount) * 100;
  const facts: string[][] = [
    ['name', model.name],
    ['architecture', model.architecture],
    ['file', `${formatBytes(model.bytes)}, ${model.fileType}, GGUF v${model.ggufVersion}${model.files.length > 1 ? `, ${model.files.length} parts` : ''}`],
    ['parameters', `${formatCount(model.parameterCount)}, ${formatCount(model.activeParameterCount)} active per token (${share.toFixed(0)}%)`],
    ['layers', `${model.layerCount}, ${model.moeLayers.length} with experts`],
    [
      'experts',
      `${model.expertCount} per layer, ${model.expertUsedCount} used per token, ${model.sharedExpertCount} shared, ${formatBytes(model.bytesPerExpert)} each`,
    ],
    ['context', `${model.contextLength} tokens`],
    ['chat template', model.chatTemplate ? 'yes' : 'no'],
    ['license', model.license ?? 'not stated'],
  ];
  const classes = model.quantisation.map((row) => [
    row.tensorClass,
    formatCount(row.parameterCount),
    formatBytes(row.bytes),
    row.types.map((type) => type.type).join(', '),
  ]);
  return `${formatTable(facts)}\n\n${formatTable([['tensors', 'parameters', 'size', 'types'], ...classes])}`;
}
