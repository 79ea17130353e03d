// Which reply the token inspector shows: a conversation, and one of its replies that have recorded routes.
import { useEffect } from 'react';
import type { Message } from '../../../main/contract/index.ts';
import { Select } from '../../components/index.ts';
import { navigate } from '../../shell/navigation.ts';
import { useChats, useConversations, useStores } from '../../stores/index.tsx';
import style from './experts.module.css';

/** The conversation (default: that of the message, else the newest) and its replies with routes, oldest first; null: not known yet. */
export function useReplies(chatId: string | null, messageId: string | null): { chat: string | null; replies: readonly Message[] | null } {
  const { conversations } = useStores();
  const newest = useChats((state) => state.chats?.[0]?.id ?? null);
  const ofMessage = useConversations((state) =>
    messageId === null ? undefined : Object.values(state.conversations).find(({ messages }) => messages.has(messageId))?.chat.id,
  );
  const chat = chatId ?? ofMessage ?? (messageId === null ? newest : null);
  useEffect(() => {
    if (chat) void conversations.getState().open(chat);
  }, [conversations, chat]);
  const messages = useConversations((state) => (chat ? state.conversations[chat]?.messages : undefined));
  const replies = messages && [...messages.values()].filter((message) => message.role === 'assistant' && message.hasRoutes);
  return { chat, replies: replies ?? null };
}

interface ReplyPickerProps {
  chatId: string | null;
  replies: readonly Message[] | null;
  messageId: string | undefined;
}

export function ReplyPicker({ chatId, replies, messageId }: ReplyPickerProps) {
  const chats = useChats((state) => state.chats) ?? [];
  if (chats.length === 0) return null;
  return (
    <div className={style.controls}>
      <Select
        aria-label="Conversation"
        value={chatId ?? undefined}
        onChange={(chat) => navigate('experts', ['tokens'], { chat })}
        placeholder="Conversation"
        options={chats.map(({ id, title }) => ({ value: id, label: title }))}
      />
      {chatId && replies && replies.length > 0 && (
        <Select
          aria-label="Reply"
          value={replies.some(({ id }) => id === messageId) ? messageId : undefined}
          onChange={(message) => navigate('experts', ['tokens'], { chat: chatId, message })}
          placeholder="Reply"
          options={replies.map(({ id, text }, index) => ({ value: id, label: `${index + 1}: ${shortened(text)}` }))}
        />
      )}
    </div>
  );
}

const shortened = (text: string) => text.replace(/\s+/g, ' ').trim().slice(0, 60) || '(empty)';
