// One model: what its file says, its state, and what can be done with it.
import { Info, Play, Power, SlidersHorizontal, Square, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { type Inspection, type ModelCard, toErrorBody } from '../../../main/contract/index.ts';
import { Badge, Button, Card, ConfirmDialog, ErrorNotice, Figures, format, IconButton, ProgressBar } from '../../components/index.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useStores } from '../../stores/index.tsx';
import { InspectionDialog } from './inspection-dialog.tsx';
import { MemoryBar } from './memory-bar.tsx';
import style from './models.module.css';

const sources: Record<ModelCard['source'], string> = { embedded: 'embedded', folder: 'in a folder', added: 'added', download: 'downloaded' };

export function ModelCardView({ card, onLoad }: { card: ModelCard; onLoad: () => void }) {
  const stores = useStores();
  const [details, setDetails] = useState(false);
  const { state, inspection, problem } = card;
  return (
    <Card className={style.card}>
      <header className={style.head}>
        <div className={style.title}>
          <h2>{card.name}</h2>
          {state.state === 'loaded' && <Badge tone="good">loaded</Badge>}
          {problem && <Badge tone="bad">cannot be used</Badge>}
          <Badge title={card.path}>{sources[card.source]}</Badge>
        </div>
        <CardActions card={card} onLoad={onLoad} onDetails={() => setDetails(true)} />
      </header>
      {card.note && <p className={style.note}>{card.note}</p>}
      {card.source !== 'embedded' && (
        <p className={style.path} title={card.path}>
          {card.path}
        </p>
      )}
      {inspection ? <Facts inspection={inspection} /> : !problem && <p className={style.note}>Reading the file…</p>}
      {problem && <ErrorNotice error={problem} advice={errorHelp(problem, stores).advice} />}
      {state.state === 'loading' && <Loading name={card.name} fraction={state.fraction} stage={state.stage} />}
      {state.state === 'failed' && <ErrorNotice error={state.error} advice={errorHelp(state.error, stores).advice} />}
      {state.state === 'loaded' && <LoadedFacts loaded={state.loaded} />}
      {inspection && <InspectionDialog inspection={inspection} open={details} onOpenChange={setDetails} />}
    </Card>
  );
}

function CardActions({ card, onLoad, onDetails }: { card: ModelCard; onLoad: () => void; onDetails: () => void }) {
  const { state, inspection, problem } = card;
  return (
    <div className={style.actions}>
      {problem === null && <StateButton card={card} />}
      {problem === null && inspection !== null && (
        <>
          <IconButton label={`Load options of ${card.name}`} icon={SlidersHorizontal} disabled={state.state === 'loading'} onClick={onLoad} />
          <IconButton label={`Details of ${card.name}`} icon={Info} onClick={onDetails} />
        </>
      )}
      {card.source !== 'embedded' && <RemoveButton card={card} />}
    </div>
  );
}

/** Load, cancel or unload, whichever comes next. */
function StateButton({ card }: { card: ModelCard }) {
  const { load, cancelLoad, unload } = useStores().models.getState();
  if (card.state.state === 'loading') {
    return (
      <Button icon={Square} onClick={() => void cancelLoad(card.id)}>
        Cancel loading
      </Button>
    );
  }
  if (card.state.state === 'loaded') {
    return (
      <Button icon={Power} onClick={() => void unload(card.id)}>
        Unload
      </Button>
    );
  }
  return (
    <Button icon={Play} variant="primary" disabled={card.inspection === null} onClick={() => void load(card.id)}>
      Load
    </Button>
  );
}

function RemoveButton({ card }: { card: ModelCard }) {
  const { client, notices } = useStores();
  const [open, setOpen] = useState(false);
  const ours = card.source === 'download';
  const remove = () => {
    client.call('models.remove', { id: card.id, deleteFiles: ours }).catch((error: unknown) => notices.getState().error(toErrorBody(error)));
  };
  return (
    <>
      <IconButton label={`Remove ${card.name}`} icon={Trash2} onClick={() => setOpen(true)} />
      <ConfirmDialog
        open={open}
        onOpenChange={setOpen}
        title={`Remove ${card.name}?`}
        description={
          ours
            ? `The downloaded file of ${format.bytes(card.bytes)} is deleted: ${card.path}. It can be downloaded again.`
            : `It leaves the list; the file stays where it is: ${card.path}.`
        }
        confirm={ours ? 'Delete' : 'Remove'}
        danger={ours}
        onConfirm={remove}
      />
    </>
  );
}

function Facts({ inspection }: { inspection: Inspection }) {
  const { parameterCount, activeParameterCount, expertCount, expertUsedCount, sharedExpertCount, moeLayers, layerCount } = inspection;
  const shared = sharedExpertCount > 0 ? ` + ${sharedExpertCount} shared` : '';
  const experts = expertCount > 0 ? `${expertUsedCount} of ${expertCount}${shared}` : 'none (dense)';
  return (
    <Figures
      figures={[
        { label: 'Parameters', value: format.count(parameterCount), title: format.exact(parameterCount) },
        { label: 'Active per token', value: format.count(activeParameterCount), title: format.exact(activeParameterCount) },
        { label: 'Experts per token', value: experts },
        { label: 'MoE layers', value: moeLayers.length === layerCount ? String(layerCount) : `${moeLayers.length} of ${layerCount}` },
        { label: 'Quantisation', value: inspection.fileType },
        { label: 'Context', value: format.count(inspection.contextLength), title: `${format.exact(inspection.contextLength)} tokens` },
        { label: 'File', value: format.bytes(inspection.bytes), title: `${format.exact(inspection.bytes)} bytes` },
        { label: 'Architecture', value: inspection.architecture },
      ]}
    />
  );
}

function Loading({ name, fraction, stage }: { name: string; fraction: number; stage: string }) {
  const text = `${stage}, ${format.percent(fraction)}`;
  return (
    <div className={style.loading}>
      <ProgressBar label={`Loading ${name}`} fraction={fraction} text={text} />
      <span>{text}</span>
    </div>
  );
}

type Loaded = Extract<ModelCard['state'], { state: 'loaded' }>['loaded'];

function LoadedFacts({ loaded }: { loaded: Loaded }) {
  const { options } = loaded;
  return (
    <div className={style.loaded}>
      {loaded.memory.map((device) => (
        <MemoryBar key={device.id} device={device.id} split={device} />
      ))}
      <p className={style.note}>
        {format.exact(options.contextLength ?? 0)} tokens × {options.sequences} sequences · {options.threads} threads · loaded in{' '}
        {format.duration(loaded.loadMilliseconds)}
        {!loaded.telemetry && ' · the router of this model cannot be observed'}
      </p>
    </div>
  );
}
