import { useVirtualizer } from '@tanstack/react-virtual';
import { FileUp, Search, SquarePen, X } from 'lucide-react';
import { useEffect, useMemo, useRef } from 'react';
import { IconButton, TextInput } from '../../components/index.ts';
import { newChat } from '../../shell/global-commands.ts';
import { navigate } from '../../shell/navigation.ts';
import { useChats, useCommands, useStores } from '../../stores/index.tsx';
import style from './conversation-list.module.css';
import { ConversationRow } from './conversation-row.tsx';

const ROW = 34;
const ROW_WITH_PASSAGE = 54;

export function ConversationList({ shownId }: { shownId: string | null }) {
  const stores = useStores();
  const search = useRef<HTMLInputElement>(null);
  const importFile = useImport();
  useCommands(
    useMemo(() => [{ id: 'chat.search', title: 'Search chats', group: 'Chat', icon: Search, keys: 'mod+shift+f', run: () => search.current?.focus() }], []),
  );
  return (
    <aside className={style.list} aria-label="Chats">
      <div className={style.head}>
        <SearchField input={search} />
        <IconButton label="Import chats from a file" icon={FileUp} onClick={importFile.open} side="bottom" />
        <IconButton label="New chat" icon={SquarePen} keys="mod+shift+o" onClick={() => newChat(stores)} side="bottom" />
      </div>
      <Rows shownId={shownId} />
      <input {...importFile.input} />
    </aside>
  );
}

function SearchField({ input }: { input: React.RefObject<HTMLInputElement | null> }) {
  const { chats } = useStores();
  const query = useChats((state) => state.query);
  return (
    <div className={style.search}>
      <Search size={14} aria-hidden />
      <TextInput
        ref={input}
        type="search"
        aria-label="Search chats"
        placeholder="Search chats"
        value={query}
        onChange={(event) => void chats.getState().search(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape' || query === '') return;
          event.preventDefault();
          void chats.getState().search('');
        }}
      />
      {query && <IconButton label="Clear the search" icon={X} size="small" onClick={() => void chats.getState().search('')} />}
    </div>
  );
}

function Rows({ shownId }: { shownId: string | null }) {
  const chats = useChats((state) => state.found ?? state.chats);
  const searching = useChats((state) => state.found !== null);
  const scroll = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: chats?.length ?? 0,
    getScrollElement: () => scroll.current,
    estimateSize: (index) => (chats?.[index]?.snippet ? ROW_WITH_PASSAGE : ROW),
    getItemKey: (index) => chats?.[index]?.id ?? index,
    overscan: 10,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows with passages are taller
  useEffect(() => virtual.measure(), [virtual, searching, chats]);
  if (chats?.length === 0) {
    return <p className={style.none}>{searching ? 'No chat contains that.' : 'Chats you have are listed here. Send a message to begin one.'}</p>;
  }
  return (
    <div className={style.scroll} ref={scroll}>
      <ul className={style.rows} style={{ height: virtual.getTotalSize() }} aria-label="Chats">
        {virtual.getVirtualItems().map((item) => {
          const chat = chats?.[item.index];
          if (!chat) return null;
          return (
            <li key={item.key} className={style.row} style={{ height: item.size, transform: `translateY(${item.start}px)` }}>
              <ConversationRow chat={chat} shown={chat.id === shownId} />
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function useImport() {
  const { chats, notices } = useStores();
  const element = useRef<HTMLInputElement>(null);
  const read = async (files: FileList | null) => {
    for (const file of files ?? []) {
      const imported = await chats.getState().importChats(file.name, await file.text());
      const first = imported[0];
      if (!first) continue;
      notices.getState().show({ tone: 'good', title: imported.length === 1 ? `Imported “${first.title}”.` : `Imported ${imported.length} chats.` });
      navigate('chat', [first.id]);
    }
  };
  return {
    open: () => element.current?.click(),
    input: {
      ref: element,
      type: 'file',
      hidden: true,
      multiple: true,
      accept: '.json,.md,.markdown,application/json,text/markdown',
      'aria-label': 'Chats to import',
      onChange: (event: React.ChangeEvent<HTMLInputElement>) => {
        void read(event.target.files).finally(() => {
          event.target.value = '';
        });
      },
    } as const,
  };
}
