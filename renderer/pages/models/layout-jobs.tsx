import { Section } from '../../components/index.ts';
import { LayoutProgress } from '../../experts/layout-progress.tsx';
import { useLayouts } from '../../stores/index.tsx';

/** Layout files that are being written in the background. */
export function LayoutJobs() {
  const layouts = useLayouts((state) => state.layouts);
  const written = Object.values(layouts).filter((layout) => layout?.writing);
  if (written.length === 0) return null;
  return (
    <Section title="Layout files" hint="Written once, behind every reply: from then on experts are read from disk faster.">
      {written.map((layout) => layout && <LayoutProgress key={layout.modelId} layout={layout} />)}
    </Section>
  );
}
