import { memo } from 'react';
import type { Message } from '../../../main/contract/index.ts';
import { Badge, format, ProgressBar } from '../../components/index.ts';
import { ExpertMiniMap } from '../../experts/expert-mini-map.tsx';
import { Markdown } from '../../markdown/markdown.tsx';
import { useConversations, useLive, useModels } from '../../stores/index.tsx';
import type { LiveReply } from '../../stores/live.ts';
import { useEditing } from './editing.ts';
import { MessageActions } from './message-actions.tsx';
import { MessageEditor } from './message-editor.tsx';
import { MessageEnding } from './message-ending.tsx';
import style from './message-row.module.css';
import { MessageStatsLine } from './message-stats.tsx';
import { splitThinking } from './thinking.ts';

interface MessageRowProps {
  chatId: string;
  messageId: string;
  last: boolean;
}

export const MessageRow = memo(function MessageRow({ chatId, messageId, last }: MessageRowProps) {
  const message = useConversations((state) => state.conversations[chatId]?.messages.get(messageId));
  const live = useLive((state) => state.replies[messageId]);
  const editing = useEditing((state) => state.messageId === messageId);
  if (!message) return null;
  if (message.role === 'user') return <UserMessage message={message} editing={editing} />;
  return <Reply message={message} live={live} last={last} />;
});

function UserMessage({ message, editing }: { message: Message; editing: boolean }) {
  return (
    <article className={style.user} aria-label="You">
      {editing ? <MessageEditor message={message} /> : <div className={style.said}>{message.text}</div>}
      {!editing && <MessageActions message={message} />}
    </article>
  );
}

function Reply({ message, live, last }: { message: Message; live: LiveReply | undefined; last: boolean }) {
  const streaming = live !== undefined || message.state === 'streaming';
  const written = live?.text ?? message.text;
  const parsed = { reasoning: message.reasoning, answer: written, open: false };
  const { reasoning, answer, open } = message.reasoning === '' ? splitThinking(written, streaming || message.state !== 'complete') : parsed;
  return (
    <article className={style.reply} aria-label="Reply" aria-busy={streaming}>
      <ModelName id={message.modelId} adapters={message.adapters} />
      {(reasoning !== '' || open) && (
        <details className={style.reasoning} open={open && streaming}>
          <summary>{open && streaming ? 'Thinking…' : 'Reasoning'}</summary>
          <Markdown text={reasoning} streaming={open && streaming} />
        </details>
      )}
      {answer !== '' && <Markdown text={answer} streaming={streaming} />}
      {message.toolCalls.map((call) => (
        <pre key={call.id} className={style.tool}>
          {call.name}({call.arguments})
        </pre>
      ))}
      {streaming && written === '' && <Waiting fraction={live?.promptFraction ?? null} />}
      {!streaming && <MessageEnding message={message} />}
      <div className={style.foot}>
        <div>
          <MessageStatsLine message={message} live={live} />
          {!streaming && <MessageActions message={message} last={last} />}
        </div>
        <ExpertMiniMap messageId={message.id} />
      </div>
    </article>
  );
}

function ModelName({ id, adapters }: { id: string | null; adapters: Message['adapters'] }) {
  const name = useModels((state) => state.models?.find((card) => card.id === id)?.name);
  return (
    <div className={style.model}>
      {name ?? id ?? 'Unknown model'}
      {adapters.map((adapter) => (
        <Badge key={adapter.id} tone="accent" title={`Written with the adapter ${adapter.name} at scale ${adapter.scale}`}>
          {adapter.scale === 1 ? adapter.name : `${adapter.name} × ${format.exact(adapter.scale)}`}
        </Badge>
      ))}
    </div>
  );
}

/** Before the first token: how much of the prompt has been read. */
function Waiting({ fraction }: { fraction: number | null }) {
  const text = fraction === null ? 'Waiting for its turn' : `Reading the prompt, ${format.percent(fraction)}`;
  return (
    <div className={style.waiting}>
      <ProgressBar label="Prompt" fraction={fraction ?? undefined} text={text} />
      <span>{text}</span>
    </div>
  );
}
