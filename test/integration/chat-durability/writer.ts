// Run as a child process: chats as fast as it can with a generator that never waits, and prints what the service acknowledged.
// Arguments: the database, a name that makes this run's ids unique.
import { writeSync } from 'node:fs';
import { ChatService } from '../../../main/chat/chat-service.ts';
import type { Message, ModelCard, Publish } from '../../../main/contract/index.ts';
import type { Generation, GenerationHandlers, GenerationOutcome, Generations, LoadedModels } from '../../../main/generation/generation.ts';
import { openDatabase } from '../../../main/storage/open.ts';

const [path = '', run = ''] = process.argv.slice(2);
const finals = new Map<string, (message: Message) => void>();
let ids = 0;

/** Synchronous, so that a line is out before anything else happens. */
function print(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

async function stream(handlers: GenerationHandlers): Promise<GenerationOutcome> {
  let text = '';
  for (let token = 0; token < 40; token++) {
    const piece = `word${token} `;
    text += piece;
    handlers.onTokens?.([{ id: token, text: piece, logprob: null, endOfGeneration: false, top: [] }]);
    if (token % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const times = { queueMilliseconds: 0, promptMilliseconds: 1, decodeMilliseconds: 1, timeToFirstTokenMilliseconds: 1 };
  return {
    ...times,
    finishReason: 'stop',
    stopString: null,
    promptTokens: 1,
    cachedTokens: 0,
    tokens: 40,
    shiftedTokens: 0,
    seed: 1,
    lossy: null,
    message: null,
    text,
    usage: null,
    adapters: [],
  };
}

const generations: Generations = {
  start: (_, handlers = {}): Generation => ({ done: stream(handlers), cancel: () => {} }),
};
const models: LoadedModels = {
  loadedIds: () => ['scripted'],
  // the service reads nothing of them but the card's defaults
  acquire: async () => ({ card: { defaults: {} } as ModelCard, loaded: {} as Awaited<ReturnType<LoadedModels['acquire']>>['loaded'] }),
};
const publish: Publish = (event, payload) => {
  // a `chat.message` carries a Message
  const message = event === 'chat.message' ? (payload as Message) : undefined;
  if (message?.state === 'complete' && message.role === 'assistant') finals.get(message.id)?.(message);
};

/** One chat that never ends: send, wait for the reply, again; now and then an edit or another reply instead. */
async function talk(service: ChatService): Promise<never> {
  const chat = await service.handlers['chats.create']({});
  print({ chat: chat.id });
  let last: { question: string; reply: string } | undefined;
  for (let turn = 0; ; turn++) {
    const text = `question ${turn} ${'padding '.repeat(turn % 200)}`;
    const sent = await (last !== undefined && turn % 5 === 4
      ? service.handlers['chat.regenerate']({ messageId: last.reply })
      : last !== undefined && turn % 7 === 6
        ? service.handlers['chat.edit']({ messageId: last.question, text })
        : service.handlers['chat.send']({ chatId: chat.id, text }));
    const { userMessage, assistantMessage } = sent;
    const final = new Promise<Message>((resolve) => finals.set(assistantMessage.id, resolve));
    for (const message of [userMessage, assistantMessage])
      if (message !== null) print({ stored: message.id, chatId: chat.id, parentId: message.parentId, role: message.role, text: message.text });
    print({ final: assistantMessage.id, text: (await final).text });
    finals.delete(assistantMessage.id);
    last = { question: userMessage?.id ?? last?.question ?? '', reply: assistantMessage.id };
  }
}

const database = await openDatabase(path);
const service = new ChatService({
  database,
  generations,
  models,
  adapters: { chosen: () => [] },
  publish,
  recordRoutes: () => false,
  createId: () => `${run}-${++ids}`,
});
await service.start();
await Promise.all([talk(service), talk(service), talk(service)]);
