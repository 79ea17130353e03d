import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { EngineMessage } from '../contract/index.ts';
import { type ModelSession, withModel } from './engine-session.ts';
import { toReport } from './generate.ts';
import {
  type AdapterFlag,
  addAdapterOption,
  addModelOptions,
  addSamplingOptions,
  type ModelFlags,
  type SamplingFlags,
  toLoadOptions,
  toSampling,
} from './options.ts';
import { note, printJson, significant } from './output.ts';

interface ChatFlags extends ModelFlags, SamplingFlags {
  adapter?: AdapterFlag[];
  system?: string;
  json?: boolean;
}

const HELP = 'Type a message and press Enter. /clear starts anew, /exit or Ctrl+D ends, Ctrl+C stops a reply.';

export function addChatCommand(program: Command): void {
  const command = program.command('chat').description('chat in the terminal; with --json, one JSON object a reply');
  addAdapterOption(addSamplingOptions(addModelOptions(command)))
    .option('--system <text>', 'system prompt')
    .option('--json', 'JSON lines')
    .action(chat);
}

async function chat(model: string | undefined, flags: ChatFlags): Promise<void> {
  const sampling = toSampling(flags);
  const talk = async (session: ModelSession) => {
    const opening: EngineMessage[] = flags.system ? [{ role: 'system', content: flags.system }] : [];
    let messages = [...opening];
    if (!flags.json) note(HELP);
    const lines = createInterface({ input: process.stdin, output: process.stdin.isTTY ? process.stdout : undefined, prompt: '> ' });
    if (!flags.json) lines.prompt();
    for await (const line of lines) {
      if (line === '/exit') break;
      if (line === '/clear') messages = [...opening];
      else if (line.trim() !== '') messages = await answer(session, [...messages, { role: 'user', content: line }], sampling, flags);
      if (!flags.json) lines.prompt();
    }
    lines.close();
  };
  await withModel(model ?? flags.model, toLoadOptions(flags), talk, flags.adapter);
}

async function answer(
  { generations, modelId }: ModelSession,
  messages: EngineMessage[],
  sampling: ReturnType<typeof toSampling>,
  flags: ChatFlags,
): Promise<EngineMessage[]> {
  const handlers = flags.json ? {} : { onTokens: (tokens: { text: string }[]) => void process.stdout.write(tokens.map((token) => token.text).join('')) };
  const generation = generations.start(
    { modelId, input: { chat: { messages } }, sampling, maxTokens: flags.maxTokens, stop: flags.stop, overflow: 'shift', cacheKey: 'chat' },
    handlers,
  );
  const stop = () => generation.cancel();
  process.once('SIGINT', stop);
  const outcome = await generation.done.finally(() => process.off('SIGINT', stop));
  const report = toReport(outcome);
  if (flags.json) printJson(report);
  else note(`\n[${report.tokens} tokens, ${significant(report.tokensPerSecond)} tok/s]`);
  return [...messages, { role: 'assistant', content: outcome.message?.content ?? outcome.text }];
}
