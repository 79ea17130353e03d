import { PanelLeft, SlidersHorizontal } from 'lucide-react';
import { useCallback, useEffect, useMemo } from 'react';
import { Button, EmptyState, ErrorNotice } from '../../components/index.ts';
import { useShownChatId } from '../../shell/current-model.ts';
import { navigate } from '../../shell/navigation.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useApp, useCommands, useConversations, useStores } from '../../stores/index.tsx';
import { ChatHeader } from './chat-header.tsx';
import style from './chat-page.module.css';
import { Composer } from './composer.tsx';
import { ConversationList } from './conversation-list.tsx';
import { DeletionDialog } from './deletion.tsx';
import { MessageList } from './message-list.tsx';
import { ParametersPanel } from './parameters-panel.tsx';
import { useChatKeys } from './use-chat-keys.ts';
import { usePanel } from './use-panel.ts';
import { Welcome } from './welcome.tsx';

export default function ChatPage() {
  const chatId = useShownChatId();
  const [listOpen, setListOpen] = usePanel('chats', 860);
  const [parametersOpen, setParametersOpen] = usePanel('parameters', 1240);
  const toggleList = useCallback(() => setListOpen(!listOpen), [listOpen, setListOpen]);
  const toggleParameters = useCallback(() => setParametersOpen(!parametersOpen), [parametersOpen, setParametersOpen]);
  useCommands(
    useMemo(
      () => [
        { id: 'chat.list', title: 'Show or hide the list of chats', group: 'Chat', icon: PanelLeft, keys: 'mod+b', run: toggleList },
        { id: 'chat.parameters', title: 'Show or hide the parameters', group: 'Chat', icon: SlidersHorizontal, keys: 'mod+.', run: toggleParameters },
      ],
      [toggleList, toggleParameters],
    ),
  );
  return (
    <div className={style.page}>
      {listOpen && <ConversationList shownId={chatId} />}
      <section className={style.conversation} aria-label="Conversation">
        <ChatHeader chatId={chatId} listOpen={listOpen} onToggleList={toggleList} parametersOpen={parametersOpen} onToggleParameters={toggleParameters} />
        {chatId ? <ShownChat key={chatId} chatId={chatId} /> : <NewChat />}
      </section>
      {parametersOpen && <ParametersPanel chatId={chatId} onClose={toggleParameters} />}
      <DeletionDialog />
    </div>
  );
}

function NewChat() {
  return (
    <>
      <div className={style.welcome}>
        <Welcome />
      </div>
      <Composer chatId={null} />
    </>
  );
}

function ShownChat({ chatId }: { chatId: string }) {
  const stores = useStores();
  const connected = useApp((state) => state.connection === 'connected');
  const known = useConversations((state) => state.conversations[chatId] !== undefined);
  const error = useConversations((state) => state.errors[chatId]);
  useEffect(() => {
    if (connected) void stores.conversations.getState().open(chatId);
  }, [stores, connected, chatId]);
  useChatKeys(chatId);
  if (known) {
    return (
      <>
        <MessageList chatId={chatId} />
        <Composer chatId={chatId} />
      </>
    );
  }
  if (!error) return <div className={style.welcome} aria-busy="true" />;
  if (error.code === 'chat.not-found') {
    return (
      <EmptyState title="This chat is gone" action={<Button onClick={() => navigate('chat')}>New chat</Button>}>
        It was deleted, here or in another window.
      </EmptyState>
    );
  }
  const again = (
    <Button size="small" onClick={() => void stores.conversations.getState().refetch(chatId)}>
      Try again
    </Button>
  );
  return <ErrorNotice error={error} advice={errorHelp(error, stores).advice} actions={again} className={style.error} />;
}
