// The model library: what is here, what fits, what is loaded, and how to get more.
import { Boxes, FilePlus2, FolderSearch, Globe } from 'lucide-react';
import { useCallback, useMemo, useState } from 'react';
import type { ModelCard } from '../../../main/contract/index.ts';
import { Button, EmptyState, PageFrame } from '../../components/index.ts';
import { useCommands, useModels, useStores } from '../../stores/index.tsx';
import { AddModelDialog } from './add-model-dialog.tsx';
import { Downloads } from './downloads.tsx';
import { HubDialog } from './hub-dialog.tsx';
import { LayoutJobs } from './layout-jobs.tsx';
import { LoadDialog } from './load-dialog.tsx';
import { ModelCardView } from './model-card.tsx';
import style from './models.module.css';

type Open = 'add' | 'hub' | null;

export default function ModelsPage() {
  const cards = useModels((state) => state.models);
  const { models } = useStores();
  const [open, setOpen] = useState<Open>(null);
  const [loading, setLoading] = useState<ModelCard | null>(null);
  const [scanning, setScanning] = useState(false);
  const scan = useCallback(() => {
    setScanning(true);
    void models
      .getState()
      .scan()
      .finally(() => setScanning(false));
  }, [models]);
  useCommands(
    useMemo(
      () => [
        { id: 'models.scan', title: 'Scan model folders', group: 'Models', icon: FolderSearch, run: scan },
        { id: 'models.add', title: 'Add a model file', group: 'Models', icon: FilePlus2, run: () => setOpen('add') },
        { id: 'models.hub', title: 'Find models on the hub', group: 'Models', icon: Globe, run: () => setOpen('hub') },
      ],
      [scan],
    ),
  );
  const actions = (
    <>
      <Button icon={FolderSearch} busy={scanning} onClick={scan} hint="Look through the folders of the settings again">
        Scan folders
      </Button>
      <Button icon={FilePlus2} onClick={() => setOpen('add')}>
        Add file
      </Button>
      <Button icon={Globe} variant="primary" onClick={() => setOpen('hub')}>
        Find models
      </Button>
    </>
  );
  return (
    <PageFrame title="Models" hint="GGUF files on this machine. Experts of a model may lie on several devices." actions={actions}>
      <Downloads />
      <LayoutJobs />
      {cards === null && <p className={style.note}>Reading the library…</p>}
      {cards?.length === 0 && (
        <EmptyState
          icon={Boxes}
          title="No models"
          action={
            <Button variant="primary" icon={Globe} onClick={() => setOpen('hub')}>
              Find models
            </Button>
          }
        >
          Models that you download, add, or keep in a folder of the settings appear here.
        </EmptyState>
      )}
      <ul className={style.cards} aria-label="Models">
        {cards?.map((card) => (
          <li key={card.id}>
            <ModelCardView card={card} onLoad={() => setLoading(card)} />
          </li>
        ))}
      </ul>
      <AddModelDialog open={open === 'add'} onOpenChange={(next) => setOpen(next ? 'add' : null)} />
      <HubDialog open={open === 'hub'} onOpenChange={(next) => setOpen(next ? 'hub' : null)} />
      {loading && <LoadDialog card={loading} onClose={() => setLoading(null)} />}
    </PageFrame>
  );
}
