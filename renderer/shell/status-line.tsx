import type { ReactNode } from 'react';
import { useMemo } from 'react';
import type { EngineStatus } from '../../main/contract/index.ts';
import { Dot, format, type Tone } from '../components/index.ts';
import { useApp, useLive, useModels, useTraining } from '../stores/index.tsx';
import { isAtWork } from '../stores/training.ts';
import { address } from './navigation.ts';
import style from './status-line.module.css';

/** Speed, jobs and health; every figure opens the page that explains it. */
export function StatusLine() {
  return (
    <footer className={style.line}>
      <Runs />
      <Downloads />
      <Training />
      <span className={style.spring} />
      <Api />
      <Engine />
    </footer>
  );
}

function Item({ href, title, children }: { href: string; title: string; children: ReactNode }) {
  return (
    <a className={style.item} href={href} title={title}>
      {children}
    </a>
  );
}

function Runs() {
  const replies = useLive((state) => state.replies);
  const running = useMemo(() => Object.values(replies), [replies]);
  const first = running[0];
  if (!first) return <span className={style.idle}>No reply is running</span>;
  const speed = running.reduce((sum, reply) => sum + reply.tokensPerSecond, 0);
  const tokens = running.reduce((sum, reply) => sum + reply.tokens, 0);
  return (
    <Item href={address('chat', [first.chatId])} title={`${format.exact(speed)} tokens a second, ${format.exact(tokens)} tokens so far`}>
      <Dot tone="accent" pulsing />
      {first.promptFraction !== null && tokens === 0
        ? `prompt ${format.percent(first.promptFraction)}`
        : `${format.rate(speed)} · ${format.count(tokens)} tokens`}
      {running.length > 1 && ` · ${running.length} replies`}
    </Item>
  );
}

function Downloads() {
  const downloads = useModels((state) => state.downloads);
  const running = downloads.filter((download) => download.state === 'running' || download.state === 'verifying' || download.state === 'queued');
  if (running.length === 0) return null;
  const done = running.reduce((sum, download) => sum + download.bytesDone, 0);
  const total = running.reduce((sum, download) => sum + download.bytesTotal, 0);
  const speed = running.reduce((sum, download) => sum + download.bytesPerSecond, 0);
  return (
    <Item href={address('models')} title={`${format.bytes(done)} of ${format.bytes(total)}`}>
      {running.length === 1 ? '1 download' : `${running.length} downloads`} · {format.percent(total > 0 ? done / total : 0)} · {format.bytes(speed)}/s
    </Item>
  );
}

function Training() {
  const runs = useTraining((state) => state.runs);
  const run = runs?.find(isAtWork);
  const queued = runs?.filter(({ state }) => state === 'queued').length ?? 0;
  if (!run) return null;
  const { progress, steps, name } = run;
  return (
    <Item href={address('fine-tune', ['run', run.id])} title={`${name}: step ${progress.step} of ${steps}`}>
      <Dot tone="accent" pulsing />
      fine-tuning {format.percent(steps > 0 ? progress.step / steps : 0)}
      {progress.tokensPerSecond !== null && ` · ${format.rate(progress.tokensPerSecond)}`}
      {queued > 0 && ` · ${queued} queued`}
    </Item>
  );
}

function Api() {
  const api = useApp((state) => state.api);
  if (!api?.running && !api?.error) return null;
  return (
    <Item href={address('settings', ['api'])} title={api.error?.message ?? `OpenAI-compatible endpoint at ${api.url}`}>
      <Dot tone={api.error ? 'bad' : 'good'} />
      {api.error ? 'endpoint failed' : `endpoint ${api.url?.replace(/^https?:\/\//, '')}`}
    </Item>
  );
}

const engineTexts: Record<EngineStatus['state'], { tone: Tone; text: string }> = {
  starting: { tone: 'warn', text: 'engine starting' },
  ready: { tone: 'good', text: 'engine healthy' },
  restarting: { tone: 'warn', text: 'engine restarting' },
  unresponsive: { tone: 'bad', text: 'engine not answering' },
  stopped: { tone: 'bad', text: 'engine stopped' },
};

function Engine() {
  const engine = useApp((state) => state.engine);
  const connection = useApp((state) => state.connection);
  const { tone, text } =
    connection === 'connected' && engine
      ? engineTexts[engine.state]
      : { tone: 'bad' as const, text: connection === 'connected' ? 'engine unknown' : 'not connected' };
  const title = engine
    ? `llama.cpp ${engine.llamaVersion ?? '?'}, ${engine.backends.join(', ')}; ${engine.restarts} restarts`
    : 'The application core has not answered yet';
  return (
    <Item href={address('settings', ['engine'])} title={title}>
      <Dot tone={tone} />
      {text}
    </Item>
  );
}
