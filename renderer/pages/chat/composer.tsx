import { ArrowUp, Square } from 'lucide-react';
import { useEffect, useRef } from 'react';
import { IconButton } from '../../components/index.ts';
import { useCurrentModel } from '../../shell/current-model.ts';
import { useApp, useDraft, useLive, useStores } from '../../stores/index.tsx';
import { isLoaded } from '../../stores/models.ts';
import style from './composer.module.css';
import { useEditing } from './editing.ts';
import { runningReply } from './use-chat-keys.ts';
import { useSend } from './use-send.ts';

export function Composer({ chatId }: { chatId: string | null }) {
  const stores = useStores();
  const text = useDraft((state) => state.texts[chatId ?? ''] ?? '');
  const connected = useApp((state) => state.connection === 'connected');
  const running = useLive((state) => chatId !== null && Object.values(state.replies).some((reply) => reply.chatId === chatId));
  const { send, busy } = useSend(chatId);
  const editLast = useEditing((state) => state.editLast);
  const area = useRef<HTMLTextAreaElement>(null);
  const setText = (next: string) => stores.draft.getState().setText(chatId ?? '', next);
  const ready = text.trim() !== '' && !running && !busy && connected;

  useEffect(() => area.current?.focus(), []);

  const submit = async () => {
    if (!ready) return;
    if (await send(text.trim())) setText('');
  };
  const stop = () => {
    const messageId = chatId && runningReply(stores, chatId);
    if (messageId) void stores.conversations.getState().stop(messageId);
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      void submit();
    } else if (event.key === 'ArrowUp' && text === '' && chatId && !running) {
      event.preventDefault();
      editLast(stores, chatId);
    }
  };
  return (
    <div className={style.dock}>
      <form
        className={style.composer}
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <textarea
          ref={area}
          className={style.text}
          aria-label="Message"
          placeholder={usePlaceholder(busy)}
          rows={1}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
        />
        {running ? (
          <IconButton label="Stop the reply" icon={Square} variant="plain" keys="escape" onClick={stop} />
        ) : (
          <IconButton label="Send" icon={ArrowUp} variant="primary" keys="enter" submit disabled={!ready} />
        )}
      </form>
    </div>
  );
}

function usePlaceholder(busy: boolean): string {
  const model = useCurrentModel();
  if (!model) return 'Add a model first';
  if (busy && !isLoaded(model)) return `Loading ${model.name}…`;
  return isLoaded(model) ? `Message ${model.name}` : `Message ${model.name} (it will be loaded)`;
}
