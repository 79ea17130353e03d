// Asks before a chat or a part of one is deleted. One dialog for the page; rows, menus and commands ask for it.
import { create } from 'zustand';
import { ConfirmDialog } from '../../components/index.ts';
import { useShownChatId } from '../../shell/current-model.ts';
import { navigate } from '../../shell/navigation.ts';
import { useStores } from '../../stores/index.tsx';
import { countBelow } from '../../stores/tree.ts';

type Target = { kind: 'chat'; id: string } | { kind: 'message'; id: string; chatId: string };

interface DeletionState {
  target: Target | null;
  ask(target: Target): void;
  end(): void;
}

export const useDeletion = create<DeletionState>()((set) => ({
  target: null,
  ask: (target) => set({ target }),
  end: () => set({ target: null }),
}));

export function DeletionDialog() {
  const target = useDeletion((state) => state.target);
  const end = useDeletion((state) => state.end);
  const shownId = useShownChatId();
  const stores = useStores();
  const text = target ? textFor(target, stores) : null;
  const run = async () => {
    if (target?.kind === 'message') await stores.conversations.getState().deleteMessage(target.id);
    if (target?.kind === 'chat' && (await stores.chats.getState().remove(target.id)) && target.id === shownId) navigate('chat');
  };
  return (
    <ConfirmDialog
      open={target !== null}
      onOpenChange={(open) => !open && end()}
      title={text?.title ?? ''}
      description={text?.description}
      confirm="Delete"
      danger
      onConfirm={() => void run()}
    />
  );
}

function textFor(target: Target, stores: ReturnType<typeof useStores>): { title: string; description: string } {
  if (target.kind === 'message') {
    const messages = stores.conversations.getState().conversations[target.chatId]?.messages;
    const below = messages ? countBelow(messages, target.id) : 0;
    const others = below === 0 ? '' : ` and the ${below === 1 ? 'message' : `${below} messages`} below it, in all branches`;
    return { title: 'Delete this message?', description: `The message${others} will be gone. This can't be undone.` };
  }
  const chat = stores.chats.getState().chats?.find((candidate) => candidate.id === target.id);
  const count = chat?.messageCount ?? 0;
  return {
    title: `Delete “${chat?.title ?? 'this chat'}”?`,
    description: `${count} ${count === 1 ? 'message' : 'messages'}, in all branches. This can't be undone; export the chat first to keep a copy.`,
  };
}
