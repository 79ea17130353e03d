// The grid as CSV (full precision) and as a labelled image.
import { LOG_DECADES, paint, type ScaleKind, viridis } from '../../experts/colour-scale.ts';
import type { LiveUsage } from '../../experts/live-usage.ts';

/** One line a cell: layer (block index), expert, current load, tokens in all. */
export function usageCsv(usage: Pick<LiveUsage, 'expertCount' | 'values' | 'totals'>, moeLayers: readonly number[]): string {
  const lines = moeLayers.flatMap((layer, row) =>
    Array.from({ length: usage.expertCount }, (_, expert) => {
      const cell = row * usage.expertCount + expert;
      return `${layer},${expert},${usage.values[cell] ?? 0},${usage.totals[cell] ?? 0}`;
    }),
  );
  return `layer,expert,load,tokens\n${lines.join('\n')}\n`;
}

const MARGIN = { left: 56, top: 34, right: 16, bottom: 44 };

/** PNG with title, layer and expert axes and the scale's legend. */
export async function gridImage(usage: LiveUsage, moeLayers: readonly number[], scale: ScaleKind, title: string): Promise<Blob> {
  const size = Math.max(2, Math.min(24, Math.floor(1400 / usage.expertCount)));
  const [width, height] = [usage.expertCount * size, usage.layerCount * size];
  const canvas = new OffscreenCanvas(Math.max(width, 320) + MARGIN.left + MARGIN.right, height + MARGIN.top + MARGIN.bottom);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('This browser cannot draw images.');
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  const largest = drawCells(context, usage, scale, size);
  drawLabels(context, { moeLayers, size, width, height, title, expertCount: usage.expertCount });
  drawLegend(context, height, largest, scale);
  return canvas.convertToBlob({ type: 'image/png' });
}

function drawCells(context: OffscreenCanvasRenderingContext2D, usage: LiveUsage, scale: ScaleKind, size: number): number {
  const cells = new OffscreenCanvas(usage.expertCount, usage.layerCount);
  const image = new ImageData(usage.expertCount, usage.layerCount);
  const largest = paint(new Uint32Array(image.data.buffer), usage.values, scale);
  cells.getContext('2d')?.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(cells, MARGIN.left, MARGIN.top, usage.expertCount * size, usage.layerCount * size);
  return largest;
}

interface Labels {
  moeLayers: readonly number[];
  size: number;
  width: number;
  height: number;
  title: string;
  expertCount: number;
}

function drawLabels(context: OffscreenCanvasRenderingContext2D, { moeLayers, size, width, height, title, expertCount }: Labels): void {
  context.fillStyle = '#15191d';
  context.font = '600 14px sans-serif';
  context.fillText(title, MARGIN.left, 22);
  context.font = '11px sans-serif';
  const step = Math.max(1, Math.ceil(12 / size));
  for (let row = 0; row < moeLayers.length; row += step) context.fillText(`L${moeLayers[row]}`, 8, MARGIN.top + row * size + Math.min(size, 12));
  context.fillText('expert 0', MARGIN.left, MARGIN.top + height + 14);
  context.fillText(String(expertCount - 1), MARGIN.left + width - 20, MARGIN.top + height + 14);
}

function drawLegend(context: OffscreenCanvasRenderingContext2D, height: number, largest: number, scale: ScaleKind): void {
  const [left, top, length] = [MARGIN.left, MARGIN.top + height + 22, 160];
  for (let x = 0; x < length; x++) {
    const colour = viridis[Math.round((x / (length - 1)) * (viridis.length - 1))] ?? 0;
    context.fillStyle = `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
    context.fillRect(left + x, top, 1, 8);
  }
  context.fillStyle = '#15191d';
  context.fillText(
    scale === 'linear' ? `0 … ${largest.toPrecision(3)}` : `log, ${LOG_DECADES} decades below ${largest.toPrecision(3)}`,
    left + length + 8,
    top + 8,
  );
}
