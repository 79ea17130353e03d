import { PanelLeft, SlidersHorizontal, SquarePen } from 'lucide-react';
import { IconButton } from '../../components/index.ts';
import { newChat } from '../../shell/global-commands.ts';
import { useConversations, useStores } from '../../stores/index.tsx';
import { AdapterControl } from './adapter-control.tsx';
import style from './chat-header.module.css';

interface ChatHeaderProps {
  chatId: string | null;
  listOpen: boolean;
  onToggleList: () => void;
  parametersOpen: boolean;
  onToggleParameters: () => void;
}

export function ChatHeader({ chatId, listOpen, onToggleList, parametersOpen, onToggleParameters }: ChatHeaderProps) {
  const stores = useStores();
  const title = useConversations((state) => (chatId ? state.conversations[chatId]?.chat.title : undefined));
  return (
    <header className={style.header}>
      <IconButton
        label={listOpen ? 'Hide the chats' : 'Show the chats'}
        icon={PanelLeft}
        keys="mod+b"
        pressed={listOpen}
        onClick={onToggleList}
        side="bottom"
      />
      {!listOpen && <IconButton label="New chat" icon={SquarePen} keys="mod+shift+o" onClick={() => newChat(stores)} side="bottom" />}
      <h1 className={style.title}>{chatId ? title : 'New chat'}</h1>
      <AdapterControl chatId={chatId} />
      <IconButton
        label={parametersOpen ? 'Hide the parameters' : 'Show the parameters'}
        icon={SlidersHorizontal}
        keys="mod+."
        pressed={parametersOpen}
        onClick={onToggleParameters}
        side="bottom"
      />
    </header>
  );
}
