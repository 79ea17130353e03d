// Fine-tuning: runs in a queue, a form for a new one, what happens in one, and several side by side.
import { useLocation } from '../../shell/navigation.ts';
import { useTraining } from '../../stores/index.tsx';
import { CompareRuns } from './compare/compare-runs.tsx';
import { NewRun } from './new/new-run.tsx';
import { RunPage } from './run/run-page.tsx';
import { RunList } from './run-list.tsx';

/** `#/fine-tune`, `#/fine-tune/new?like=ID`, `#/fine-tune/run/ID/checkpoints`, `#/fine-tune/compare?runs=ID,ID` */
export default function FineTunePage() {
  const { parts, query } = useLocation();
  const runs = useTraining((state) => state.runs);
  const [place, id, view] = parts;
  const listed = query.get('runs')?.split(',') ?? [];
  if (place === 'new') return <NewRun like={query.get('like')} />;
  if (place === 'compare') return <CompareRuns runs={runs} ids={listed} />;
  if (place === 'run' && id !== undefined) return <RunPage key={id} id={id} view={view ?? ''} runs={runs} />;
  return <RunList runs={runs} />;
}
