import { useEffect, useState } from 'react';
import { type DatasetReport, type ErrorBody, type TrainingData, toErrorBody } from '../../../../main/contract/index.ts';
import { useStores } from '../../../stores/index.tsx';

export interface Preview {
  /** of the data as it is chosen now, or null */
  report: DatasetReport | null;
  error: ErrorBody | null;
  /** 0..1 of what is being read; null: nothing is */
  fraction: number | null;
}

const EXAMPLES = 5;
/** of no change before the files are read */
const PAUSE_MS = 250;
const nothing: Preview = { report: null, error: null, fraction: null };
let lastTicket = 0;

/** Reads the data again whenever it, or the model, changes. What was found before a reload of the page is not asked again while it fits. */
export function usePreview(modelId: string | undefined, data: TrainingData): Preview {
  const { client } = useStores();
  const [preview, setPreview] = useState<Preview & { key: string }>({ key: '', ...nothing });
  const key = modelId === undefined || data.files.length === 0 ? '' : JSON.stringify([modelId, data]);
  useEffect(() => {
    if (key === '') return;
    const [askedModel, askedData]: [string, TrainingData] = JSON.parse(key);
    const ticket = `preview-${Date.now()}-${lastTicket++}`;
    let over = false;
    const take = (found: Partial<Preview>) => !over && setPreview({ key, ...nothing, ...found });
    take({ fraction: 0 });
    const unsubscribe = client.on('training.progress', (progress) => progress.ticket === ticket && take({ fraction: progress.fraction }));
    const ask = async () => {
      const answer = client.call('training.preview', { ticket, data: askedData, modelId: askedModel, previews: EXAMPLES });
      await answer.then(
        (report) => take({ report }),
        (thrown: unknown) => take({ error: toErrorBody(thrown) }),
      );
      unsubscribe();
    };
    let asked = false;
    const timer = setTimeout(() => {
      asked = true;
      void ask();
    }, PAUSE_MS);
    return () => {
      over = true;
      clearTimeout(timer);
      unsubscribe();
      if (asked) client.call('training.cancel', { ticket }).catch(() => {}); // it has ended already
    };
  }, [client, key]);
  return preview.key === key ? preview : { ...nothing, fraction: key === '' ? null : 0 };
}
