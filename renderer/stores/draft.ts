// What a new chat will be made with, until its first message is sent; and text that was typed but not sent, per chat.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { GenerationParameters } from '../../main/contract/index.ts';

export interface ChatSetup {
  modelId: string | null;
  systemPrompt: string;
  parameters: GenerationParameters;
  presetId: string | null;
}

export interface DraftState {
  setup: ChatSetup;
  /** by chat id; '' is the new chat */
  texts: Readonly<Record<string, string>>;
  change(change: Partial<ChatSetup>): void;
  setText(chatId: string, text: string): void;
  /** a new chat starts as the settings have it, but with the model that was used last */
  reset(): void;
}

const empty: ChatSetup = { modelId: null, systemPrompt: '', parameters: {}, presetId: null };

export function createDraftStore(): StoreApi<DraftState> {
  return createStore<DraftState>()((set) => ({
    setup: empty,
    texts: {},
    change: (change) => set(({ setup }) => ({ setup: { ...setup, ...change } })),
    setText: (chatId, text) => set(({ texts }) => ({ texts: { ...texts, [chatId]: text } })),
    reset: () => set(({ setup }) => ({ setup: { ...empty, modelId: setup.modelId } })),
  }));
}
