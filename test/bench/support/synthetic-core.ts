// The real UI over the real WebSocket server, fed by a publisher instead of an engine: a model of 48 x 512 experts that never stops writing.
import { join } from 'node:path';
import type { Chat, EngineStatus, Handlers, Inspection, Method, ModelCard } from '../../../main/contract/index.ts';
import { silentLogger } from '../../../main/engine/log.ts';
import { Dispatcher } from '../../../main/rpc/dispatcher.ts';
import { EventHub } from '../../../main/rpc/event-hub.ts';
import { startWebServer } from '../../../main/server/web-server.ts';
import { defaultSettings } from '../../../main/settings/defaults.ts';
import { root } from '../../../main/setup/paths.mjs';
import { modelCard } from '../../support/models.ts';
import { Random } from './random.ts';

export const LAYERS = 48;
export const EXPERTS = 512;
const EXPERTS_USED = 10;
/** of the conversation `long` */
export const LONG_MESSAGES = 2000;
/** 30 frames a second are the most that the engine sends. */
export const FRAMES_PER_SECOND = 30;
export const TOKENS_PER_FRAME = 8;
/** the most that the core sends for one message */
export const DELTAS_PER_SECOND = 60;

export interface SyntheticCore {
  /** with a launch token, works once; each use makes the next one */
  url(): string;
  /** expert frames sent so far */
  frames(): number;
  close(): Promise<void>;
}

export async function startSyntheticCore(): Promise<SyntheticCore> {
  const hub = new EventHub();
  let url = '';
  const options = { root: join(root, 'dist/renderer'), port: 0, dispatcher: new Dispatcher(handlers()), hub, logger: silentLogger };
  const server = await startWebServer({ ...options, onUrl: (next) => (url = next) });
  const random = new Random(1);
  let frames = 0;
  let offset = 0;
  const sendFrame = () => {
    frames += 1;
    const of = { modelId: 'wide', chatId: 'chat', messageId: 'reply' };
    hub.publish('experts.frame', { ...of, layerCount: LAYERS, expertCount: EXPERTS, tokens: TOKENS_PER_FRAME, data: frameData(random) });
  };
  const sendDelta = () => {
    const text = offset % 200 === 199 ? '\n\nword' : ' word';
    hub.publish('chat.delta', { chatId: 'chat', messageId: 'reply', offset, text, tokens: offset, tokensPerSecond: FRAMES_PER_SECOND * TOKENS_PER_FRAME });
    offset += text.length;
  };
  const timers = [every(1000 / FRAMES_PER_SECOND, sendFrame), every(1000 / DELTAS_PER_SECOND, sendDelta)];
  return {
    url: () => url,
    frames: () => frames,
    async close() {
      for (const stop of timers) stop();
      await server.close();
    },
  };
}

/** Keeps the mean rate however late single timers are. Returns the function that ends it. */
function every(milliseconds: number, act: () => void): () => void {
  const start = performance.now();
  let done = 0;
  const timer = setInterval(() => {
    for (; done < (performance.now() - start) / milliseconds; done++) act();
  }, milliseconds);
  return () => clearInterval(timer);
}

/** Cells of some tokens, packed as in main/contract/experts.ts; few experts get most of the work, as in a real router. */
function frameData(random: Random): Uint8Array<ArrayBuffer> {
  const counts = new Map<number, number>();
  for (let choice = 0; choice < TOKENS_PER_FRAME * LAYERS * EXPERTS_USED; choice++) {
    const layer = choice % LAYERS;
    const cell = layer * EXPERTS + Math.floor(EXPERTS * random.unit() ** 2);
    counts.set(cell, (counts.get(cell) ?? 0) + 1);
  }
  const view = new DataView(new ArrayBuffer(counts.size * 12));
  let at = 0;
  for (const [cell, count] of counts) {
    view.setUint32(at, cell, true);
    view.setUint32(at + 4, count, true);
    view.setFloat32(at + 8, count / EXPERTS_USED, true);
    at += 12;
  }
  return new Uint8Array(view.buffer);
}

// What follows is read by the page and changes nothing while it is measured: one loaded model, a conversation with a running reply, and a long one.

function handlers(): Handlers {
  const chats = [chat(), longChat()];
  const summaries = chats.map(({ messages: _, ...summary }) => ({ ...summary, snippet: null }));
  const answers: { [M in Method]?: Handlers[M] } = {
    'app.info': () => ({ version: '0', platform: 'linux', dataFolder: '/data', embeddedModelId: 'wide', engine }),
    'devices.list': () => [],
    'api.status': () => ({ running: false, url: null, keyRequired: false, error: null }),
    'settings.get': () => defaultSettings('/data'),
    'models.list': () => [card()],
    'downloads.list': () => [],
    'chats.list': () => summaries,
    'chats.get': ({ id }) => chats.find((one) => one.id === id) ?? chat(),
    'presets.list': () => [],
    'experts.usage': () => null,
  };
  return answers as Handlers; // a page that only watches calls no other method; a call of one would be answered with an error
}

const engine: EngineStatus = { state: 'ready', processId: null, restarts: 0, llamaVersion: null, backends: ['CPU'], error: null };

function chat(): Chat {
  const common = { chatId: 'chat', reasoning: '', toolCalls: [], finishReason: null, error: null, adapters: [], stats: null, hasRoutes: false, createdAt: 1 };
  return {
    id: 'chat',
    title: 'Go on',
    modelId: 'wide',
    messageCount: 2,
    createdAt: 1,
    updatedAt: 1,
    systemPrompt: '',
    parameters: {},
    presetId: null,
    leafId: 'reply',
    messages: [
      { ...common, id: 'question', parentId: null, role: 'user', text: 'Go on', state: 'complete', modelId: null },
      { ...common, id: 'reply', parentId: 'question', role: 'assistant', text: '', state: 'streaming', modelId: 'wide' },
    ],
  };
}

/** Questions and replies in turn; the replies have what costs a browser most: code, tables and formulas. */
function longChat(): Chat {
  const common = { chatId: 'long', reasoning: '', toolCalls: [], finishReason: null, error: null, adapters: [], stats: null, hasRoutes: false, createdAt: 1 };
  const messages = Array.from({ length: LONG_MESSAGES }, (_, index): Chat['messages'][number] => {
    const place = { ...common, id: `m${index}`, parentId: index === 0 ? null : `m${index - 1}`, state: 'complete' as const };
    if (index % 2 === 0) return { ...place, role: 'user', text: `Question ${index}: what comes next, and why?`, modelId: null };
    return { ...place, role: 'assistant', text: reply(index), modelId: 'wide' };
  });
  return { ...chat(), id: 'long', title: 'Long', messageCount: LONG_MESSAGES, leafId: messages.at(-1)?.id ?? null, messages };
}

function reply(index: number): string {
  const text = `Reply ${index}. ${'The **router** chooses a few experts for every token. '.repeat(1 + (index % 7))}`;
  const code = '```ts\nconst chosen = experts.filter((expert) => expert.weight > 0.1);\n```';
  const table = '| layer | expert | weight |\n|---|---|---|\n| 0 | 3 | 0.7 |\n| 1 | 5 | 0.3 |';
  return [text, ...(index % 4 === 1 ? [code] : [table]), ...(index % 6 === 1 ? ['$$y = \\sum_i g_i E_i(x)$$'] : [])].join('\n\n');
}

function card(): ModelCard {
  const inspection = {
    name: 'wide',
    fileType: 'F16',
    parameterCount: 1,
    activeParameterCount: 1,
    contextLength: 512,
    moeLayers: Array.from({ length: LAYERS }, (_, layer) => layer),
    layerCount: LAYERS,
    expertCount: EXPERTS,
    expertUsedCount: EXPERTS_USED,
    sharedExpertCount: 0,
  } as Inspection; // what the model bar and the Experts page read of one
  const loaded = { model: 1, path: '/wide.gguf', options: {}, loadMilliseconds: 1, memory: [], telemetry: true };
  return modelCard('wide', { source: 'embedded', inspection, state: { state: 'loaded', loaded } });
}
