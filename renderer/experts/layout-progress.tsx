import { X } from 'lucide-react';
import type { LayoutState } from '../../main/contract/index.ts';
import { format, IconButton, ProgressBar } from '../components/index.ts';
import { useStores } from '../stores/index.tsx';
import style from './layout-progress.module.css';

/** A layout file that is being written, and the way to stop that. Nothing while none is. `named`: says of which model. */
export function LayoutProgress({ layout: { modelId, writing, needBytes }, named = false }: { layout: LayoutState; named?: boolean }) {
  const { layouts } = useStores();
  if (writing === null) return null;
  const { fraction, paused } = writing;
  const text = `${format.percent(fraction)} of ${format.bytes(needBytes)}${paused ? ', waiting for the end of a reply' : ''}`;
  return (
    <div className={style.job}>
      <ProgressBar label={`Layout file of ${modelId}`} fraction={fraction} text={text} />
      <span>{named ? `${modelId}: ${text}` : text}</span>
      <IconButton label={`Stop writing the layout file of ${modelId}`} icon={X} size="small" onClick={() => void layouts.getState().decline(modelId)} />
    </div>
  );
}
