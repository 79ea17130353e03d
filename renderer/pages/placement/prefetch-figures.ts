import type { ExpertPredictor, ExpertStore } from '../../../main/contract/index.ts';
import { format } from '../../components/index.ts';

const names: Record<ExpertPredictor['name'], string> = {
  router: 'next router on this hidden state',
  tokens: 'where the tokens went before',
  history: 'what followed the last experts',
  round: 'whole layers, in turn',
};

const share = (part: number, of: number): string => (of > 0 ? format.percent(part / of) : '–');

function describe({
  name,
  depth,
  leastProbability,
  right,
  uses,
  read,
  used,
  late,
  wasted,
  withdrawn,
  savedMilliseconds,
  lostMilliseconds,
}: ExpertPredictor): string {
  const state = depth === 0 ? 'off' : `${depth} ${depth === 1 ? 'layer' : 'layers'} ahead from ${format.percent(leastProbability)}`;
  const came = `${read} read: ${used} used, ${late} late, ${wasted} wasted; ${withdrawn} withdrawn`;
  const worth =
    savedMilliseconds === null || lostMilliseconds === null ? '' : `; ${format.duration(savedMilliseconds)} saved, ${format.duration(lostMilliseconds)} lost`;
  return `${names[name]} (${state}): ${share(right, uses)} right; ${came}${worth}`;
}

/** Experts read ahead, how many of them were used (accuracy), and how often the best predictor is right (recall). */
export function prefetchFigures({ predictors }: ExpertStore['prefetch']): { label: string; value: string; title: string }[] {
  const sum = (key: 'read' | 'used' | 'late' | 'wasted' | 'withdrawn') => predictors.reduce((total, predictor) => total + predictor[key], 0);
  const [used, late, wasted] = [sum('used'), sum('late'), sum('wasted')];
  const best = predictors.filter(({ uses }) => uses > 0).sort((a, b) => b.right / b.uses - a.right / a.uses)[0];
  return [
    {
      label: 'read ahead',
      value: format.count(sum('read')),
      title: `${sum('read')} experts: ${used} used in time, ${late} late, ${wasted} wasted; ${sum('withdrawn')} more withdrawn before the disk began`,
    },
    { label: 'prefetch accuracy', value: share(used + late, used + late + wasted), title: predictors.map(describe).join('\n') },
    {
      label: 'prefetch recall',
      value: best ? share(best.right, best.uses) : '–',
      title: best ? `of the experts used, named by: ${names[best.name]}` : 'nothing was predicted',
    },
  ];
}
