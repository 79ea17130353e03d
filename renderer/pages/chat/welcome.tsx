import { ArrowUpRight } from 'lucide-react';
import { Button, format } from '../../components/index.ts';
import { useCurrentModel } from '../../shell/current-model.ts';
import { navigate } from '../../shell/navigation.ts';
import { useModels } from '../../stores/index.tsx';
import { useSend } from './use-send.ts';
import style from './welcome.module.css';

/** What the small embedded model has something to say about. */
const samplesOfEmbedded = ['What is a dwarf?', 'What is 12 + 30?', 'In the beginning God created'];
const samples = [
  'Explain what a mixture-of-experts layer does, in five sentences.',
  'Write a Python function that merges two sorted lists.',
  'Make a table of the planets with radius and day length.',
];

/** A new chat: what answers, and three things to try. */
export function Welcome() {
  const model = useCurrentModel();
  const known = useModels((state) => state.models !== null);
  const { send, busy } = useSend(null);
  if (!known) return null;
  const embedded = model?.source === 'embedded';
  return (
    <div className={style.welcome}>
      <h2 className={style.title}>{model ? model.name : 'No model yet'}</h2>
      {embedded && model?.inspection && (
        <p className={style.note}>
          A mixture of experts of {format.count(model.inspection.parameterCount)} parameters that comes with Moebius, for trying things out: it answers at once,
          and it is often wrong.
        </p>
      )}
      {!embedded && model?.note && <p className={style.note}>{model.note}</p>}
      {!model && <p className={style.note}>Add a GGUF file from this machine or download one, then talk to it here.</p>}
      {model && (
        <ul className={style.samples} aria-label="Things to try">
          {(embedded ? samplesOfEmbedded : samples).map((sample) => (
            <li key={sample}>
              <button type="button" disabled={busy} onClick={() => void send(sample)}>
                {sample}
              </button>
            </li>
          ))}
        </ul>
      )}
      {(embedded || !model) && (
        <Button variant={model ? 'quiet' : 'primary'} icon={ArrowUpRight} onClick={() => navigate('models')}>
          Get a larger model
        </Button>
      )}
    </div>
  );
}
