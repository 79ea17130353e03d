import { useCallback } from 'react';
import type { ModelCard } from '../../main/contract/index.ts';
import { useConversations, useDraft, useModels, useStores } from '../stores/index.tsx';
import { chooseModel, isLoaded } from '../stores/models.ts';
import { useLocation } from './navigation.ts';

/** The id of the conversation that the window shows; null: a new one, or another page. */
export function useShownChatId(): string | null {
  const { page, parts } = useLocation();
  return page === 'chat' ? (parts[0] ?? null) : null;
}

/** The model that the next reply comes from. */
export function useCurrentModel(): ModelCard | undefined {
  const chatId = useShownChatId();
  const ofChat = useConversations((state) => (chatId ? state.conversations[chatId]?.chat.modelId : undefined));
  const ofDraft = useDraft((state) => state.setup.modelId);
  return useModels((state) => chooseModel(state.models ?? [], chatId ? ofChat : ofDraft));
}

/** Makes a model the one that answers here, and loads it if it isn't; if that fails, the one of before answers again. */
export function useChooseModel(): (card: ModelCard) => void {
  const stores = useStores();
  const chatId = useShownChatId();
  const before = useCurrentModel()?.id;
  return useCallback(
    async (card) => {
      const assign = (modelId: string) => {
        if (chatId) void stores.conversations.getState().update(chatId, { modelId });
        stores.draft.getState().change({ modelId });
      };
      assign(card.id);
      if (isLoaded(card) || card.state.state === 'loading') return;
      const loaded = await stores.models.getState().load(card.id);
      if (!loaded && before) assign(before);
    },
    [stores, chatId, before],
  );
}
