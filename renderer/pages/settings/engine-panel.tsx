import { RotateCw } from 'lucide-react';
import { useState } from 'react';
import type { EngineStatus } from '../../../main/contract/index.ts';
import { Badge, Button, ConfirmDialog, ErrorNotice, Figures, type Tone } from '../../components/index.ts';
import { useApp, useLive, useStores } from '../../stores/index.tsx';
import style from './settings.module.css';

const states: Record<EngineStatus['state'], { tone: Tone; text: string }> = {
  starting: { tone: 'warn', text: 'starting' },
  ready: { tone: 'good', text: 'healthy' },
  restarting: { tone: 'warn', text: 'restarting' },
  unresponsive: { tone: 'bad', text: 'not answering' },
  stopped: { tone: 'bad', text: 'stopped' },
};

export function EnginePanel() {
  const { app } = useStores();
  const engine = useApp((state) => state.engine);
  const running = useLive((state) => Object.keys(state.replies).length);
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const restart = async () => {
    setBusy(true);
    await app.getState().restartEngine();
    setBusy(false);
  };
  return (
    <>
      <Figures
        figures={[
          { label: 'State', value: engine ? <Badge tone={states[engine.state].tone}>{states[engine.state].text}</Badge> : '–' },
          { label: 'llama.cpp', value: engine?.llamaVersion ?? '–' },
          { label: 'Backends', value: engine?.backends.join(', ') || '–' },
          { label: 'Process', value: engine?.processId ?? '–' },
          { label: 'Restarts', value: engine?.restarts ?? '–', title: 'Since Moebius was started' },
        ]}
      />
      {engine?.error && <ErrorNotice error={engine.error} />}
      <div className={style.inline}>
        <Button icon={RotateCw} busy={busy} onClick={() => (running > 0 ? setAsking(true) : void restart())}>
          Restart engine
        </Button>
      </div>
      <ConfirmDialog
        open={asking}
        onOpenChange={setAsking}
        title="Restart the engine?"
        description={`${running === 1 ? 'One reply is' : `${running} replies are`} running and will be interrupted; what has been streamed is kept. Models are loaded again.`}
        confirm="Restart"
        onConfirm={() => void restart()}
      />
    </>
  );
}
