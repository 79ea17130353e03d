import { describe, expect, it } from 'vitest';
import { normalise, paint, viridis } from '../../../../renderer/experts/colour-scale.ts';

/** relative luminance, ITU-R BT.709, of 0xAABBGGRR */
const luminance = (colour: number) => 0.2126 * (colour & 255) + 0.7152 * ((colour >> 8) & 255) + 0.0722 * ((colour >> 16) & 255);

describe('the colour scale', () => {
  it('gets brighter with every step, opaque, from #440154 to #fde725', () => {
    for (let step = 1; step < viridis.length; step++) expect(luminance(viridis[step] ?? 0)).toBeGreaterThanOrEqual(luminance(viridis[step - 1] ?? 0) - 1);
    expect([viridis[0], viridis[255]]).toEqual([0xff540144, 0xff25e7fd]);
  });

  it('maps values to 0..1, linear or over three decades', () => {
    expect([0, 1, 5, 10].map((value) => normalise(value, 10, 'linear'))).toEqual([0, 0.1, 0.5, 1]);
    expect([0, 0.01, 0.1, 1, 10].map((value) => normalise(value, 10, 'log'))).toEqual([0, 0, expect.closeTo(1 / 3), expect.closeTo(2 / 3), 1]);
    expect(normalise(Number.NaN, 1, 'log')).toBe(0);
  });

  it('paints one pixel a cell', () => {
    const pixels = new Uint32Array(3);
    expect(paint(pixels, [0, 2, 4], 'linear')).toBe(4);
    expect([...pixels]).toEqual([viridis[0], viridis[128], viridis[255]]);
  });
});
