import { Play, X } from 'lucide-react';
import type { ModelCard } from '../../main/contract/index.ts';
import { Badge, Button, format, IconButton, ProgressBar } from '../components/index.ts';
import { useModels, useStores } from '../stores/index.tsx';
import { useCurrentModel } from './current-model.ts';
import { DeviceMeters } from './device-meters.tsx';
import style from './model-bar.module.css';
import { ModelSwitcher } from './model-switcher.tsx';

/** What answers, what it is, and how full the devices are. */
export function ModelBar({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const known = useModels((state) => state.models !== null);
  const model = useCurrentModel();
  return (
    <header className={style.bar}>
      <ModelSwitcher current={model} open={open} onOpenChange={onOpenChange} />
      {model && <ModelFacts card={model} />}
      {known && !model && <span className={style.facts}>No model yet</span>}
      {model && <ModelStateView card={model} />}
      <DeviceMeters />
    </header>
  );
}

function ModelFacts({ card }: { card: ModelCard }) {
  const { inspection } = card;
  if (!inspection) return null;
  const context = card.state.state === 'loaded' ? (card.state.loaded.options.contextLength ?? inspection.contextLength) : inspection.contextLength;
  const exact = `${format.exact(inspection.parameterCount)} parameters, ${format.exact(inspection.activeParameterCount)} of them for a token`;
  return (
    <span className={style.facts}>
      <span title={exact}>
        {format.count(inspection.parameterCount)}
        {inspection.expertCount > 0 && ` / ${format.count(inspection.activeParameterCount)} active`}
      </span>
      {inspection.expertCount > 0 && (
        <span title={`${inspection.expertUsedCount} of ${inspection.expertCount} experts for a token, in ${inspection.moeLayers.length} layers`}>
          {inspection.expertUsedCount} of {inspection.expertCount} experts
        </span>
      )}
      <span>{inspection.fileType}</span>
      <span title={`${format.exact(context)} tokens of context`}>ctx {format.exact(context)}</span>
    </span>
  );
}

function ModelStateView({ card }: { card: ModelCard }) {
  const { models } = useStores();
  const { state } = card;
  if (state.state === 'loading') {
    const text = `${state.stage} ${format.percent(state.fraction)}`;
    return (
      <span className={style.loading}>
        <ProgressBar label={`Loading ${card.name}`} fraction={state.fraction} text={text} className={style.progress} />
        <span>{text}</span>
        <IconButton label="Cancel loading" icon={X} size="small" onClick={() => void models.getState().cancelLoad(card.id)} />
      </span>
    );
  }
  if (state.state === 'loaded') return null;
  return (
    <span className={style.loading}>
      {state.state === 'failed' && (
        <Badge tone="bad" title={state.error.message}>
          failed to load
        </Badge>
      )}
      {!card.problem && (
        <Button size="small" icon={Play} onClick={() => void models.getState().load(card.id)}>
          {state.state === 'failed' ? 'Load again' : 'Load'}
        </Button>
      )}
    </span>
  );
}
