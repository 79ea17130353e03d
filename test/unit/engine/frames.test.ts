import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFrame, ProtocolViolation } from '../../../main/engine/frames.ts';
import { encodeLogits, encodeRoutes, encodeRouting, encodeTokens } from '../../support/frames.ts';

const tokens = encodeTokens(7, [
  { id: 5, text: 'né', logprob: -0.5, top: [{ id: 6, logprob: -1.5, bytes: new Uint8Array([0xf0, 0x9f]) }] },
  { id: 2, text: '', endOfGeneration: true },
]);
const routing = encodeRouting(8, { layerCount: 2, expertCount: 4, tokens: 3 }, [
  [0, 2, 1.5],
  [7, 4, 0.25],
]);
const routes = encodeRoutes(9, 40, [11, -1], { layerCount: 1, expertUsedCount: 2 }, [3, 0, 0xffff, 0xffff], [0.75, 0.25, 0, 0]);
const logits = encodeLogits(10, 3, [1, 2, 3, -4, 0.5, 1e10]);

describe('decodeFrame', () => {
  it('reads a TOKENS frame', () => {
    expect(decodeFrame(tokens)).toEqual({
      kind: 'tokens',
      generation: 7,
      tokens: [
        { id: 5, text: 'né', logprob: -0.5, endOfGeneration: false, top: [{ id: 6, logprob: -1.5, bytes: new Uint8Array([0xf0, 0x9f]) }] },
        { id: 2, text: '', logprob: null, endOfGeneration: true, top: [] },
      ],
    });
  });

  it('reads a ROUTING frame and leaves its cells packed', () => {
    const frame = decodeFrame(routing);
    expect(frame).toMatchObject({ kind: 'routing', generation: 8, frame: { layerCount: 2, expertCount: 4, tokens: 3 } });
    expect(frame.kind === 'routing' && [...frame.frame.cells]).toEqual([...routing.subarray(-24)]);
  });

  it('reads a ROUTES frame with f16 weights and experts that were not computed', () => {
    expect(decodeFrame(routes)).toEqual({
      kind: 'routes',
      generation: 9,
      frame: {
        firstPosition: 40,
        tokenIds: new Int32Array([11, -1]),
        layerCount: 1,
        expertUsedCount: 2,
        experts: new Uint16Array([3, 0, 0xffff, 0xffff]),
        weights: new Float32Array([0.75, 0.25, 0, 0]),
      },
    });
  });

  it('reads a LOGITS frame', () => {
    expect(decodeFrame(logits)).toEqual({
      kind: 'logits',
      generation: 10,
      frame: { rowCount: 2, vocabularySize: 3, logits: new Float32Array([1, 2, 3, -4, 0.5, 1e10]) },
    });
  });

  it('reads a frame at any alignment', () => {
    for (let shift = 0; shift < 8; shift++) {
      const shifted = new Uint8Array(routes.length + shift);
      shifted.set(routes, shift);
      expect(decodeFrame(shifted.subarray(shift))).toEqual(decodeFrame(routes));
    }
  });

  it.each([
    ['TOKENS', tokens],
    ['ROUTING', routing],
    ['ROUTES', routes],
    ['LOGITS', logits],
  ])('refuses a %s frame cut at any byte, or with a byte too many', (_, frame) => {
    for (let length = 0; length < frame.length; length++) expect(() => decodeFrame(frame.subarray(0, length))).toThrow(ProtocolViolation);
    expect(() => decodeFrame(Buffer.concat([frame, Buffer.from([0])]))).toThrow('1 bytes after its last field');
  });

  it('refuses counts that the frame cannot hold, without allocating for them', () => {
    const huge = Buffer.from(logits);
    huge.writeUInt32LE(0xffffffff, 8);
    huge.writeUInt32LE(0xffffffff, 12);
    expect(() => decodeFrame(huge)).toThrow(ProtocolViolation);
  });

  it('refuses a cell outside the grid, another format version and an unknown kind', () => {
    expect(() => decodeFrame(encodeRouting(1, { layerCount: 2, expertCount: 4, tokens: 1 }, [[8, 1, 1]]))).toThrow('cell 8');
    const version = Buffer.from(tokens);
    version.writeUInt16LE(2, 2);
    expect(() => decodeFrame(version)).toThrow('format version 2');
    const kind = Buffer.from(tokens);
    kind[1] = 9;
    expect(() => decodeFrame(kind)).toThrow('unknown kind 9');
  });

  it('either decodes any bytes or throws ProtocolViolation', () => {
    const mutant = fc.tuple(fc.constantFrom(tokens, routing, routes, logits), fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(mutant, ([frame, at, value]) => {
        const bytes = Buffer.from(frame);
        bytes[at % bytes.length] = value;
        try {
          decodeFrame(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolViolation);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
