// What replies of a chat are made with: kept by the core for a chat that exists, by the draft store for one that doesn't yet.
import { useCallback, useMemo } from 'react';
import type { GenerationParameters } from '../../../main/contract/index.ts';
import type { ChatSetup } from '../../stores/draft.ts';
import { useConversations, useDraft, useStores } from '../../stores/index.tsx';

export type SetupChange = Partial<Pick<ChatSetup, 'systemPrompt' | 'parameters' | 'presetId'>>;

export function useChatSetup(chatId: string | null): { setup: ChatSetup; change: (change: SetupChange) => void } {
  const stores = useStores();
  const draft = useDraft((state) => state.setup);
  const chat = useConversations((state) => (chatId ? state.conversations[chatId]?.chat : undefined));
  const setup = useMemo(
    () => (chat ? { modelId: chat.modelId, systemPrompt: chat.systemPrompt, parameters: chat.parameters, presetId: chat.presetId } : draft),
    [chat, draft],
  );
  const change = useCallback(
    (changed: SetupChange) => {
      if (chatId) void stores.conversations.getState().update(chatId, changed);
      else stores.draft.getState().change(changed);
    },
    [stores, chatId],
  );
  return { setup, change };
}

/** Parameters with one sampling value set, or taken out by undefined. */
export function withSampling(parameters: GenerationParameters, key: string, value: unknown): GenerationParameters {
  const { [key]: _old, ...others } = { ...parameters.sampling } as Record<string, unknown>;
  // The keys and values come from the table of parameters, which is typed by Sampling; the core checks them again.
  const sampling = (value === undefined ? others : { ...others, [key]: value }) as NonNullable<GenerationParameters['sampling']>;
  const { sampling: _sampling, ...rest } = parameters;
  return Object.keys(sampling).length > 0 ? { ...rest, sampling } : rest;
}

/** Parameters with one of the others set, or taken out by undefined. */
export function withParameter<Key extends Exclude<keyof GenerationParameters, 'sampling'>>(
  parameters: GenerationParameters,
  key: Key,
  value: GenerationParameters[Key] | undefined,
): GenerationParameters {
  const { [key]: _old, ...others } = parameters;
  return value === undefined ? others : { ...others, [key]: value };
}

/** Whether two sets of parameters say the same. */
export function sameParameters(a: GenerationParameters, b: GenerationParameters): boolean {
  return JSON.stringify(sortedKeys(a)) === JSON.stringify(sortedKeys(b));
}

function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, member]) => [key, sortedKeys(member)]),
  );
}
