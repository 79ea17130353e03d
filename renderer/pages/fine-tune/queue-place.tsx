// Where a run waits, and how it comes sooner or later.
import { ChevronDown, ChevronUp } from 'lucide-react';
import type { KeyboardEvent } from 'react';
import type { TrainingRun } from '../../../main/contract/index.ts';
import { IconButton } from '../../components/index.ts';
import { useStores } from '../../stores/index.tsx';
import style from './fine-tune.module.css';

interface QueuePlaceProps {
  run: TrainingRun;
  /** from 0, of so many */
  place: number;
  length: number;
}

/** The arrow keys do the same on either button, which keeps the focus. */
export function QueuePlace({ run: { id, name }, place, length }: QueuePlaceProps) {
  const { training } = useStores();
  const move = (by: number) => void training.getState().move(id, by);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
    event.preventDefault();
    move(event.key === 'ArrowUp' ? -1 : 1);
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would be a form's
    <div className={style.actions} role="group" aria-label={`Place of ${name} in the queue`} onKeyDown={onKeyDown}>
      <span className={style.note}>{place === 0 ? 'next' : `${place + 1} of ${length} in the queue`}</span>
      <IconButton label={`Move ${name} up`} icon={ChevronUp} disabled={place === 0} onClick={() => move(-1)} />
      <IconButton label={`Move ${name} down`} icon={ChevronDown} disabled={place === length - 1} onClick={() => move(1)} />
    </div>
  );
}
