// The download manager: what is coming in.
import { Pause, Play, X } from 'lucide-react';
import type { Download } from '../../../main/contract/index.ts';
import { Badge, ErrorNotice, format, IconButton, ProgressBar, Section } from '../../components/index.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useModels, useStores } from '../../stores/index.tsx';
import style from './models.module.css';

export function Downloads() {
  const downloads = useModels((state) => state.downloads);
  if (downloads.length === 0) return null;
  return (
    <Section title="Downloads">
      <ul className={style.downloads} aria-label="Downloads">
        {downloads.map((download) => (
          <li key={download.id}>
            <DownloadRow download={download} />
          </li>
        ))}
      </ul>
    </Section>
  );
}

const tones = { queued: 'neutral', running: 'accent', paused: 'warn', verifying: 'accent', done: 'good', failed: 'bad' } as const;

function DownloadRow({ download }: { download: Download }) {
  const stores = useStores();
  const { file, repository, state, error } = download;
  const text = progressText(download);
  return (
    <div className={style.download}>
      <div className={style.head}>
        <div className={style.title}>
          <strong className={style.value}>{file}</strong>
          <Badge tone={tones[state]}>{state}</Badge>
          <span className={style.note}>{state === 'done' ? `${repository} · ${text}` : repository}</span>
        </div>
        <DownloadActions download={download} />
      </div>
      {state !== 'done' && (
        <>
          <ProgressBar label={`Download of ${file}`} fraction={download.bytesTotal > 0 ? download.bytesDone / download.bytesTotal : undefined} text={text} />
          <span className={style.note} title={`${format.exact(download.bytesDone)} of ${format.exact(download.bytesTotal)} bytes`}>
            {text}
          </span>
        </>
      )}
      {error && <ErrorNotice error={error} advice={errorHelp(error, stores).advice} />}
    </div>
  );
}

function DownloadActions({ download: { id, file, state } }: { download: Download }) {
  const { client, notices } = useStores();
  const act = (method: 'downloads.pause' | 'downloads.resume' | 'downloads.cancel') => () => {
    client.call(method, { id }).catch((thrown: unknown) => notices.getState().error(thrown));
  };
  return (
    <div className={style.actions}>
      {(state === 'running' || state === 'queued') && <IconButton label={`Pause ${file}`} icon={Pause} onClick={act('downloads.pause')} />}
      {(state === 'paused' || state === 'failed') && <IconButton label={`Resume ${file}`} icon={Play} onClick={act('downloads.resume')} />}
      <IconButton label={state === 'done' ? `Take ${file} off this list` : `Cancel ${file} and delete what came`} icon={X} onClick={act('downloads.cancel')} />
    </div>
  );
}

function progressText({ state, bytesDone, bytesTotal, bytesPerSecond }: Download): string {
  const amount = `${format.bytes(bytesDone)} of ${format.bytes(bytesTotal)}`;
  if (state === 'done') return format.bytes(bytesTotal);
  if (state === 'verifying') return `${amount}, checking the sha256`;
  if (state !== 'running' || bytesPerSecond <= 0) return amount;
  return `${amount}, ${format.bytes(bytesPerSecond)}/s, ${format.duration(((bytesTotal - bytesDone) / bytesPerSecond) * 1000)} left`;
}
