import { Copy, Download, RefreshCw, Square, Trash2 } from 'lucide-react';
import { useEffect, useMemo } from 'react';
import { copyText } from '../../markdown/copy.ts';
import type { Command } from '../../stores/commands.ts';
import { type Stores, useCommands, useStores } from '../../stores/index.tsx';
import { useDeletion } from './deletion.tsx';
import { saveChat } from './save-chat.ts';

/** The running reply of a chat, if there is one. */
export function runningReply(stores: Stores, chatId: string): string | undefined {
  return Object.entries(stores.live.getState().replies).find(([, reply]) => reply.chatId === chatId)?.[0];
}

function lastReply(stores: Stores, chatId: string) {
  const conversation = stores.conversations.getState().conversations[chatId];
  const last = conversation?.messages.get(conversation.path[conversation.path.length - 1] ?? '');
  return last?.role === 'assistant' ? last : undefined;
}

/** The commands of the shown chat, and Escape, which stops its reply when nothing that is open takes it. */
export function useChatKeys(chatId: string): void {
  const stores = useStores();
  useCommands(useMemo(() => chatCommands(stores, chatId), [stores, chatId]));
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.defaultPrevented) return;
      const running = runningReply(stores, chatId);
      if (running) void stores.conversations.getState().stop(running);
    };
    window.addEventListener('keydown', onKeyDown);
    return () => window.removeEventListener('keydown', onKeyDown);
  }, [stores, chatId]);
}

function chatCommands(stores: Stores, chatId: string): Command[] {
  const conversations = stores.conversations.getState();
  const withLast = (act: (message: { id: string; text: string }) => void) => () => {
    const message = lastReply(stores, chatId);
    if (message) act(message);
  };
  const remove = () => useDeletion.getState().ask({ kind: 'chat', id: chatId });
  return [
    {
      id: 'chat.stop',
      title: 'Stop the reply',
      group: 'Chat',
      icon: Square,
      run: () => {
        const running = runningReply(stores, chatId);
        if (running) void conversations.stop(running);
      },
    },
    {
      id: 'chat.regenerate',
      title: 'Regenerate the last reply',
      group: 'Chat',
      icon: RefreshCw,
      keys: 'mod+shift+enter',
      run: withLast(({ id }) => void conversations.regenerate(id)),
    },
    { id: 'chat.copy', title: 'Copy the last reply', group: 'Chat', icon: Copy, run: withLast(({ text }) => void copyText(text)) },
    { id: 'chat.export.markdown', title: 'Export this chat as Markdown', group: 'Chat', icon: Download, run: () => void saveChat(stores, chatId, 'markdown') },
    { id: 'chat.export.json', title: 'Export this chat as JSON', group: 'Chat', icon: Download, run: () => void saveChat(stores, chatId, 'json') },
    { id: 'chat.delete', title: 'Delete this chat…', group: 'Chat', icon: Trash2, run: remove },
  ];
}
