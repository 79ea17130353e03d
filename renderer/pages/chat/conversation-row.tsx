import { Download, MoreHorizontal, PenLine, Trash2 } from 'lucide-react';
import { Fragment, useState } from 'react';
import type { ChatSummary } from '../../../main/contract/index.ts';
import { classes, Dot, format, IconButton, Menu, TextInput } from '../../components/index.ts';
import { address } from '../../shell/navigation.ts';
import { useLive, useStores } from '../../stores/index.tsx';
import style from './conversation-list.module.css';
import { useDeletion } from './deletion.tsx';
import { saveChat } from './save-chat.ts';

export function ConversationRow({ chat, shown }: { chat: ChatSummary; shown: boolean }) {
  const stores = useStores();
  const running = useLive((state) => Object.values(state.replies).some((reply) => reply.chatId === chat.id));
  const [renaming, setRenaming] = useState(false);
  const ask = useDeletion((state) => state.ask);
  const remove = () => ask({ kind: 'chat', id: chat.id });
  if (renaming) return <Rename chat={chat} onDone={() => setRenaming(false)} />;
  return (
    <div className={classes(style.item, shown && style.shown)}>
      <a
        className={style.link}
        href={address('chat', [chat.id])}
        aria-current={shown ? 'page' : undefined}
        onKeyDown={(event) => {
          if (event.key === 'F2') setRenaming(true);
          if (event.key === 'Delete') remove();
        }}
      >
        <span className={style.line}>
          {running && <Dot tone="accent" pulsing />}
          <span className={style.title}>{chat.title}</span>
          <span className={style.when} title={new Date(chat.updatedAt).toLocaleString()}>
            {running ? <span className="visually-hidden">a reply is running</span> : format.ago(chat.updatedAt)}
          </span>
        </span>
        {chat.snippet && <Passage text={chat.snippet} />}
      </a>
      <span className={style.more}>
        <Menu
          trigger={<IconButton label={`Actions for ${chat.title}`} icon={MoreHorizontal} size="small" />}
          items={[
            { label: 'Rename', icon: PenLine, hint: 'F2', run: () => setRenaming(true) },
            { label: 'Export as Markdown', icon: Download, run: () => void saveChat(stores, chat.id, 'markdown') },
            { label: 'Export as JSON', icon: Download, run: () => void saveChat(stores, chat.id, 'json') },
            null,
            { label: 'Delete…', icon: Trash2, hint: 'Del', danger: true, run: remove },
          ]}
        />
      </span>
    </div>
  );
}

/** What was found, with the matches marked: they stand between U+0002 and U+0003. */
function Passage({ text }: { text: string }) {
  return (
    <span className={style.passage}>
      {text.split('\u0002').map((piece, index) => {
        const [match, rest] = index === 0 ? [null, piece] : piece.split('\u0003', 2);
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: pieces of one text, which never move
          <Fragment key={index}>
            {match && <mark>{match}</mark>}
            {rest}
          </Fragment>
        );
      })}
    </span>
  );
}

function Rename({ chat, onDone }: { chat: ChatSummary; onDone: () => void }) {
  const { chats } = useStores();
  const [title, setTitle] = useState(chat.title);
  const commit = () => {
    const next = title.trim();
    if (next !== '' && next !== chat.title) void chats.getState().rename(chat.id, next);
    onDone();
  };
  return (
    <div className={style.item}>
      <TextInput
        aria-label="Title of the chat"
        value={title}
        maxLength={200}
        ref={(input) => input?.focus()}
        onFocus={(event) => event.target.select()}
        onChange={(event) => setTitle(event.target.value)}
        onBlur={commit}
        onKeyDown={(event) => {
          if (event.key === 'Enter') commit();
          if (event.key !== 'Escape') return;
          event.preventDefault();
          onDone();
        }}
      />
    </div>
  );
}
