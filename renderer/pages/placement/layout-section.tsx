// The file beside the model from which experts are read faster: whether it is there, what it takes, and what can be done about it.
import { HardDriveDownload, Trash2 } from 'lucide-react';
import { useEffect } from 'react';
import type { LayoutState, ModelCard } from '../../../main/contract/index.ts';
import { Button, ErrorNotice, Figures, format, Section } from '../../components/index.ts';
import { LayoutProgress } from '../../experts/layout-progress.tsx';
import { useLayouts, useStores } from '../../stores/index.tsx';

export function LayoutSection({ card }: { card: ModelCard }) {
  const { layouts } = useStores();
  const layout = useLayouts((state) => state.layouts[card.id]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another state of the model is another answer
  useEffect(() => void layouts.getState().fetch(card.id), [layouts, card.id, card.state]);
  if (!layout) return null;
  const { bytes, needBytes, freeBytes, path, problem } = layout;
  return (
    <Section
      title="Layout file"
      hint="The experts once more beside the model, each in one piece, those that are used together side by side: the disk reads them faster. Lossless."
      actions={<LayoutActions layout={layout} />}
    >
      <Figures
        figures={[
          { label: 'layout file', value: bytes === null ? 'none' : format.bytes(bytes), title: path },
          { label: 'takes', value: format.bytes(needBytes), title: `${needBytes} bytes at most` },
          { label: 'free on that disk', value: freeBytes === null ? '–' : format.bytes(freeBytes) },
        ]}
      />
      <p>{stateText(layout)}</p>
      <LayoutProgress layout={layout} />
      {problem && <ErrorNotice error={problem} />}
    </Section>
  );
}

function LayoutActions({ layout: { modelId, bytes, used, writing, offered } }: { layout: LayoutState }) {
  const { layouts } = useStores();
  const act = layouts.getState();
  return (
    <>
      {writing === null && !used && (
        <Button icon={HardDriveDownload} onClick={() => void act.write(modelId)}>
          {bytes === null ? 'Write it now' : 'Write it anew'}
        </Button>
      )}
      {offered && <Button onClick={() => void act.decline(modelId)}>Not for this model</Button>}
      {writing === null && bytes !== null && (
        <Button icon={Trash2} onClick={() => void act.delete(modelId)}>
          Delete the file
        </Button>
      )}
    </>
  );
}

function stateText({ bytes, used, fresh, writing, declined, offered }: LayoutState): string {
  if (writing !== null) return 'It is being written in the background, and only while no reply is generated.';
  if (used) return bytes === null ? 'Deleted; the room is free when the model is unloaded.' : 'Experts are read from it.';
  if (fresh) return 'Written. The model uses it from its next load on.';
  if (bytes !== null) return 'There is a file, and this model is not read from it: it is of another state of the model, or was switched off at the load.';
  if (offered) return 'It could be written now.';
  if (declined) return 'It is not written by itself: it was stopped, deleted or declined.';
  return 'With the setting “Layout files” on automatic it is written when the model has been used for a while, is idle, lies in a model folder, and its disk has room to spare.';
}
