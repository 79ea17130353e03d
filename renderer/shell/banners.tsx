import { Unplug, Zap } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button, classes } from '../components/index.ts';
import { useApp, useStores } from '../stores/index.tsx';
import style from './banners.module.css';

/** What is wrong with the whole application, over every page, until it is over. */
export function Banners() {
  const connection = useApp((state) => state.connection);
  if (connection === 'refused') return <RefusedBanner />;
  if (connection === 'lost') return <LostBanner />;
  return <EngineBanner />;
}

function Banner({
  tone,
  icon: Icon,
  title,
  children,
  action,
}: {
  tone: 'warn' | 'bad';
  icon: typeof Zap;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={classes(style.banner, style[tone])} role="alert">
      <Icon size={16} aria-hidden />
      <p>
        <strong>{title}</strong> {children}
      </p>
      {action}
    </div>
  );
}

function LostBanner() {
  return (
    <Banner tone="warn" icon={Unplug} title="The connection to the application core is lost.">
      It reconnects by itself. What was sent is kept by the core; if it was closed, start it again.
    </Banner>
  );
}

function RefusedBanner() {
  return (
    <Banner tone="bad" icon={Unplug} title="This address is not valid any more.">
      Its one-time token belongs to another start of Moebius. Open the address that the running one printed.
    </Banner>
  );
}

function EngineBanner() {
  const { app } = useStores();
  const engine = useApp((state) => state.engine);
  const restart = (
    <Button size="small" onClick={() => void app.getState().restartEngine()}>
      Restart engine
    </Button>
  );
  if (engine?.state === 'restarting') {
    return (
      <Banner tone="warn" icon={Zap} title="The engine stopped unexpectedly and is being restarted.">
        {engine.error?.message} Chats are kept, with what had been streamed; its models are loaded again.
      </Banner>
    );
  }
  if (engine?.state === 'unresponsive') {
    return (
      <Banner tone="bad" icon={Zap} title="The engine does not answer." action={restart}>
        {engine.error?.message ?? 'It has not answered for 5 seconds. It may come back; a restart stops the running replies.'}
      </Banner>
    );
  }
  if (engine?.state === 'stopped') {
    return (
      <Banner tone="bad" icon={Zap} title="The engine is stopped." action={restart}>
        {engine.error?.message ?? 'It crashed three times in five minutes, so it is not started again by itself.'}
      </Banner>
    );
  }
  return null;
}
