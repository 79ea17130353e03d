// One chart of a run, with its exports.
import { Download, Image } from 'lucide-react';
import { useRef } from 'react';
import type uPlot from 'uplot';
import { chartCsv, chartImage } from '../../../charts/export.ts';
import { type ChartParts, type ChartStyle, LiveChart } from '../../../charts/live-chart.tsx';
import { IconButton, saveFile } from '../../../components/index.ts';
import { useStores } from '../../../stores/index.tsx';
import style from './run.module.css';

interface ChartCardProps {
  title: string;
  /** of exported files */
  name: string;
  /** asked twice a second; the same function from one rendering to the next */
  data: () => uPlot.AlignedData;
  parts: (look: ChartStyle) => ChartParts;
  /** charts of the same name have one cursor */
  together: string;
  wide?: boolean;
}

export function ChartCard({ title, name, data, parts, together, wide }: ChartCardProps) {
  const { notices } = useStores();
  const drawn = useRef<uPlot | null>(null);
  const file = (extension: string) => `${`${name} ${title}`.replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 80)}.${extension}`;
  const saveCsv = () => drawn.current && saveFile(file('csv'), new Blob([chartCsv(drawn.current)], { type: 'text/csv' }));
  const savePng = () => {
    if (!drawn.current) return;
    chartImage(drawn.current, `${name}: ${title}`).then(
      (image) => saveFile(file('png'), image),
      (error: unknown) => notices.getState().error(error),
    );
  };
  return (
    <section className={wide ? style.wideChart : style.chart} aria-label={title}>
      <header>
        <h3>{title}</h3>
        <IconButton label={`${title} as CSV`} icon={Download} size="small" onClick={saveCsv} />
        <IconButton label={`${title} as PNG`} icon={Image} size="small" onClick={savePng} />
      </header>
      <LiveChart label={`${title} over the steps`} data={data} parts={parts} over="steps" together={together} drawn={drawn} />
    </section>
  );
}
