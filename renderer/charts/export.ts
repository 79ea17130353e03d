// A chart as CSV (full precision, all of it) and as a picture (as it is shown, with its title and what each line is).
import type uPlot from 'uplot';

type Columns = Pick<uPlot, 'data' | 'series'>;

/** One line a place that any column has a value at; a column without one there is empty. */
export function chartCsv({ data, series }: Columns): string {
  const [places, ...columns] = data;
  const names = series.map(({ label }) => quoted(typeof label === 'string' ? label : ''));
  const lines = Array.from(places, (place, row) => [place, ...columns.map((column) => column[row] ?? '')].join(','));
  return `${[names.join(','), ...lines].join('\n')}\n`;
}

/** RFC 4180. */
const quoted = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

const HEAD = 54;

/** PNG in the colours of the theme. Rejects where the browser cannot draw. */
export async function chartImage(chart: uPlot, title: string): Promise<Blob> {
  const { canvas } = chart.ctx;
  const scale = canvas.width / Math.max(1, chart.width);
  const picture = new OffscreenCanvas(canvas.width, canvas.height + HEAD * scale);
  const context = picture.getContext('2d');
  if (!context) throw new Error('This browser cannot draw images.');
  const css = getComputedStyle(document.documentElement);
  const colour = (name: string) => css.getPropertyValue(name).trim();
  context.fillStyle = colour('--bg');
  context.fillRect(0, 0, picture.width, picture.height);
  context.drawImage(canvas, 0, HEAD * scale);
  context.scale(scale, scale);
  context.fillStyle = colour('--text');
  context.font = '600 14px sans-serif';
  context.fillText(title, 12, 22);
  drawLegend(context, chart, colour('--text-2'));
  return picture.convertToBlob({ type: 'image/png' });
}

function drawLegend(context: OffscreenCanvasRenderingContext2D, { series }: uPlot, colour: string): void {
  context.font = '11px sans-serif';
  let left = 12;
  for (const { label, stroke, show } of series.slice(1)) {
    if (typeof label !== 'string' || show === false) continue;
    // uPlot turns every stroke into a function of the chart; ours were texts
    const paint: unknown = typeof stroke === 'function' ? Reflect.apply(stroke, null, [null, 0]) : stroke;
    context.fillStyle = typeof paint === 'string' ? paint : colour;
    context.fillRect(left, 34, 10, 10);
    context.fillStyle = colour;
    context.fillText(label, left + 14, 43);
    left += 14 + context.measureText(label).width + 18;
  }
}
