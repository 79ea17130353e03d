import { useCallback, useState } from 'react';
import { useCurrentModel } from '../../shell/current-model.ts';
import { navigate } from '../../shell/navigation.ts';
import { useStores } from '../../stores/index.tsx';
import { isLoaded } from '../../stores/models.ts';

/**
 * Sends a message: makes the chat if there is none yet, loads its model if it isn't loaded. `send` answers true when the core has the message;
 * what it could not send is put back into the composer of the chat.
 */
export function useSend(chatId: string | null): { send: (text: string) => Promise<boolean>; busy: boolean } {
  const stores = useStores();
  const model = useCurrentModel();
  const [busy, setBusy] = useState(false);
  const send = useCallback(
    async (text: string) => {
      if (!model) {
        stores.notices
          .getState()
          .show({ tone: 'info', title: 'There is no model to answer.', actions: [{ label: 'Open Models', run: () => navigate('models') }] });
        return false;
      }
      setBusy(true);
      try {
        if (!isLoaded(model) && !(await stores.models.getState().load(model.id))) return false;
        if (chatId) return await stores.conversations.getState().send(chatId, text);
        return await sendFirst(stores, model.id, text);
      } finally {
        setBusy(false);
      }
    },
    [stores, model, chatId],
  );
  return { send, busy };
}

async function sendFirst(stores: ReturnType<typeof useStores>, modelId: string, text: string): Promise<boolean> {
  const { setup } = stores.draft.getState();
  const { presetId, systemPrompt, parameters } = setup;
  const conversation = await stores.conversations
    .getState()
    .create(
      { modelId, ...(systemPrompt ? { systemPrompt } : {}), ...(presetId ? { presetId } : {}) },
      Object.keys(parameters).length > 0 ? { parameters } : {},
    );
  if (!conversation) return false;
  const { id } = conversation.chat;
  navigate('chat', [id]);
  stores.draft.getState().reset();
  const sent = await stores.conversations.getState().send(id, text);
  if (!sent) stores.draft.getState().setText(id, text);
  // The composer of the new chat holds the text then; the one that sent it is to be emptied in either case.
  return true;
}
