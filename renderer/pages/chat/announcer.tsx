import { useEffect, useRef, useState } from 'react';
import { useConversations, useLive } from '../../stores/index.tsx';

const LIMIT = 600;

/** Tells screen readers that a reply begins and, when it is complete, what it says: a word at a time would be noise. */
export function Announcer({ chatId }: { chatId: string }) {
  const runningId = useLive((state) => Object.entries(state.replies).find(([, reply]) => reply.chatId === chatId)?.[0] ?? null);
  const messages = useConversations((state) => state.conversations[chatId]?.messages);
  const before = useRef<string | null>(null);
  const [text, setText] = useState('');
  useEffect(() => {
    if (runningId !== null && before.current === null) setText('The model is writing.');
    if (runningId === null && before.current !== null) {
      const reply = messages?.get(before.current);
      if (reply) setText(`${reply.state === 'complete' ? 'The reply is complete' : 'The reply ended early'}: ${shorten(reply.text)}`);
    }
    before.current = runningId;
  }, [runningId, messages]);
  return (
    <div className="visually-hidden" role="status" aria-live="polite">
      {text}
    </div>
  );
}

const shorten = (text: string) => (text.length > LIMIT ? `${text.slice(0, LIMIT)}…` : text);
