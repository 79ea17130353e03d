import { Check, ChevronLeft, ChevronRight, Copy, Pencil, Play, RefreshCw, ScanSearch, Trash2 } from 'lucide-react';
import { useState } from 'react';
import type { Message } from '../../../main/contract/index.ts';
import { classes, IconButton } from '../../components/index.ts';
import { copyText } from '../../markdown/copy.ts';
import { navigate } from '../../shell/navigation.ts';
import { useConversations, useStores } from '../../stores/index.tsx';
import { pages } from '../registry.ts';
import { useDeletion } from './deletion.tsx';
import { useEditing } from './editing.ts';
import style from './message-row.module.css';

const hasInspector = pages.some((page) => page.id === 'experts');
const continuable = new Set<Message['state']>(['stopped', 'interrupted']);

/** What can be done with a message. The last reply shows its actions always, others on hover and focus. */
export function MessageActions({ message, last = false }: { message: Message; last?: boolean }) {
  const { conversations } = useStores();
  const startEditing = useEditing((state) => state.start);
  const ask = useDeletion((state) => state.ask);
  const { continueMessage, regenerate } = conversations.getState();
  const reply = message.role === 'assistant';
  const cut = continuable.has(message.state) || message.finishReason === 'length';
  return (
    <div className={classes(style.actions, last && style.always)}>
      <BranchSwitcher message={message} />
      <CopyButton text={message.text} />
      {!reply && <IconButton label="Edit" icon={Pencil} size="small" keys="up" onClick={() => startEditing(message.id)} />}
      {reply && (
        <IconButton
          label="Regenerate"
          icon={RefreshCw}
          size="small"
          {...(last ? { keys: 'mod+shift+enter' } : {})}
          onClick={() => void regenerate(message.id)}
        />
      )}
      {reply && cut && message.text !== '' && <IconButton label="Continue" icon={Play} size="small" onClick={() => void continueMessage(message.id)} />}
      {reply && hasInspector && message.hasRoutes && (
        <IconButton label="Inspect its tokens" icon={ScanSearch} size="small" onClick={() => navigate('experts', [], { message: message.id })} />
      )}
      <IconButton label="Delete" icon={Trash2} size="small" onClick={() => ask({ kind: 'message', id: message.id, chatId: message.chatId })} />
    </div>
  );
}

function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return <IconButton label={copied ? 'Copied' : 'Copy'} icon={copied ? Check : Copy} size="small" onClick={() => void copy()} />;
}

/** ‹ 2/3 ›: the messages that stand in the same place. */
function BranchSwitcher({ message }: { message: Message }) {
  const { conversations } = useStores();
  const siblings = useConversations((state) => state.conversations[message.chatId]?.siblings.get(message.id));
  if (!siblings || siblings.length < 2) return null;
  const at = siblings.indexOf(message.id);
  const show = (id: string | undefined) => id && void conversations.getState().update(message.chatId, { leafId: id });
  return (
    <span className={style.branches}>
      <IconButton label="Previous branch" icon={ChevronLeft} size="small" disabled={at === 0} onClick={() => show(siblings[at - 1])} />
      <span>
        <span className="visually-hidden">Branch </span>
        {at + 1}/{siblings.length}
      </span>
      <IconButton label="Next branch" icon={ChevronRight} size="small" disabled={at === siblings.length - 1} onClick={() => show(siblings[at + 1])} />
    </span>
  );
}
