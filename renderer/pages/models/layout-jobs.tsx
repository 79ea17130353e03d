import { useEffect } from 'react';
import { Section } from '../../components/index.ts';
import { LayoutProgress } from '../../experts/layout-progress.tsx';
import { useLayouts, useModels, useStores } from '../../stores/index.tsx';
import { isLoaded } from '../../stores/models.ts';

/** Layout files that are being written in the background. */
export function LayoutJobs() {
  const { layouts: store } = useStores();
  const layouts = useLayouts((state) => state.layouts);
  const cards = useModels((state) => state.models);
  const loaded = (cards ?? [])
    .filter(isLoaded)
    .map(({ id }) => id)
    .join('\n');
  useEffect(() => {
    for (const id of loaded.split('\n').filter(Boolean)) void store.getState().fetch(id); // one that pauses tells nothing by itself
  }, [store, loaded]);
  const written = Object.values(layouts).filter((layout) => layout?.writing);
  if (written.length === 0) return null;
  return (
    <Section title="Layout files" hint="Written once, behind every reply: from then on experts are read from disk faster.">
      {written.map((layout) => layout && <LayoutProgress key={layout.modelId} layout={layout} named />)}
    </Section>
  );
}
