import { useEffect, useRef, useState } from 'react';
import type { Message } from '../../../main/contract/index.ts';
import { Button, TextArea } from '../../components/index.ts';
import { useStores } from '../../stores/index.tsx';
import { useEditing } from './editing.ts';
import style from './message-row.module.css';

/** Other words for a message: sent, they make a branch beside it; the old one stays. */
export function MessageEditor({ message }: { message: Message }) {
  const { conversations } = useStores();
  const end = useEditing((state) => state.end);
  const [text, setText] = useState(message.text);
  const [busy, setBusy] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    area.current?.focus();
    area.current?.setSelectionRange(area.current.value.length, area.current.value.length);
  }, []);
  const send = async () => {
    if (text.trim() === '' || busy) return;
    setBusy(true);
    const sent = await conversations.getState().edit(message.id, text.trim());
    setBusy(false);
    if (sent) end();
  };
  return (
    <div className={style.editor}>
      <TextArea
        ref={area}
        aria-label="Edit the message"
        rows={2}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') {
            event.preventDefault();
            end();
          } else if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
            event.preventDefault();
            void send();
          }
        }}
      />
      <div className={style.editorActions}>
        <Button size="small" variant="quiet" onClick={end}>
          Cancel
        </Button>
        <Button size="small" variant="primary" busy={busy} disabled={text.trim() === ''} onClick={() => void send()}>
          Send as a new branch
        </Button>
      </div>
    </div>
  );
}
