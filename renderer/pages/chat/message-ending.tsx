import { Play, RefreshCw } from 'lucide-react';
import type { Message } from '../../../main/contract/index.ts';
import { Button, ErrorNotice, Notice } from '../../components/index.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useStores } from '../../stores/index.tsx';
import style from './message-row.module.css';

/** Why a reply is not whole, and the buttons that go on. */
export function MessageEnding({ message }: { message: Message }) {
  const stores = useStores();
  const { continueMessage, regenerate } = stores.conversations.getState();
  if (message.state !== 'interrupted' && message.state !== 'failed') return null;
  const help = message.error ? errorHelp(message.error, stores) : {};
  const actions = (
    <>
      {message.text !== '' && (
        <Button size="small" icon={Play} onClick={() => void continueMessage(message.id)}>
          Continue
        </Button>
      )}
      <Button size="small" icon={RefreshCw} onClick={() => void regenerate(message.id)}>
        Retry
      </Button>
      {help.actions?.map((action) => (
        <Button key={action.label} size="small" onClick={action.run}>
          {action.label}
        </Button>
      ))}
    </>
  );
  return (
    <div className={style.ending}>
      {message.error ? (
        <ErrorNotice error={message.error} advice={help.advice} actions={actions} />
      ) : (
        <Notice tone="warn" title="This reply was interrupted." actions={actions}>
          What had been streamed is kept.
        </Notice>
      )}
    </div>
  );
}
