// Viridis (Smith and van der Walt, 2015): perceptually uniform and safe for colour-blind eyes; eleven anchors, interpolated in RGB.
const ANCHORS = ['440154', '482475', '414487', '355f8d', '2a788e', '21918c', '22a884', '44bf70', '7ad151', 'bddf26', 'fde725'];
const STEPS = 256;

const channel = (hex: string, index: number) => Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16);

function anchor(index: number): [number, number, number] {
  const hex = ANCHORS[Math.min(ANCHORS.length - 1, index)] ?? '000000';
  return [channel(hex, 0), channel(hex, 1), channel(hex, 2)];
}

/** 256 colours as 0xAABBGGRR: the byte order of ImageData read as little-endian Uint32. */
export const viridis: Uint32Array = Uint32Array.from({ length: STEPS }, (_, step) => {
  const position = (step / (STEPS - 1)) * (ANCHORS.length - 1);
  const [low, high] = [anchor(Math.floor(position)), anchor(Math.floor(position) + 1)];
  const part = position - Math.floor(position);
  const [red, green, blue] = [0, 1, 2].map((index) => Math.round((low[index] ?? 0) * (1 - part) + (high[index] ?? 0) * part)) as [number, number, number]; // three in, three out
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
});

export const cssGradient = `linear-gradient(to right, ${ANCHORS.map((hex) => `#${hex}`).join(', ')})`;

export type ScaleKind = 'linear' | 'log';

/** How many decades the log scale shows below the largest value. */
export const LOG_DECADES = 3;

/** 0..1 for a value of 0..largest. */
export function normalise(value: number, largest: number, kind: ScaleKind): number {
  if (!(value > 0) || !(largest > 0)) return 0;
  const share = Math.min(1, value / largest);
  return kind === 'linear' ? share : Math.max(0, 1 + Math.log10(share) / LOG_DECADES);
}

/** Writes one pixel per cell; `pixels` has the length of `values`. Returns the top of the scale: `top` if it is given, else the largest value. */
export function paint(pixels: Uint32Array, values: ArrayLike<number>, kind: ScaleKind, top?: number): number {
  const largest = top ?? largestOf(values);
  for (let cell = 0; cell < pixels.length; cell++) pixels[cell] = viridis[Math.round(normalise(values[cell] ?? 0, largest, kind) * (STEPS - 1))] ?? 0;
  return largest;
}

/** 0 for no values. */
export function largestOf(values: ArrayLike<number>): number {
  let largest = 0;
  for (let cell = 0; cell < values.length; cell++) largest = Math.max(largest, values[cell] ?? 0);
  return largest;
}
