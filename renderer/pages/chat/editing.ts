// Which message is being edited. One at a time, in this window.
import { create } from 'zustand';
import type { Stores } from '../../stores/index.tsx';

interface EditingState {
  messageId: string | null;
  start(messageId: string): void;
  end(): void;
  /** the last user message of the shown branch */
  editLast(stores: Stores, chatId: string): void;
}

export const useEditing = create<EditingState>()((set) => ({
  messageId: null,
  start: (messageId) => set({ messageId }),
  end: () => set({ messageId: null }),
  editLast: (stores, chatId) => {
    const conversation = stores.conversations.getState().conversations[chatId];
    const last = conversation?.path.findLast((id) => conversation.messages.get(id)?.role === 'user');
    if (last) set({ messageId: last });
  },
}));
