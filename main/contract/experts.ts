// Expert usage: cells are MoE layer x expert, row-major; `moeLayers[row]` is the block index of a row.
import { z } from 'zod';

/** What usage is counted for: a loaded model since it was loaded, a conversation, or one message. */
export const UsageScope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('model'), id: z.string() }),
  z.strictObject({ kind: z.literal('chat'), id: z.string() }),
  z.strictObject({ kind: z.literal('message'), id: z.string() }),
]);
export type UsageScope = z.infer<typeof UsageScope>;

export const Usage = z.object({
  modelId: z.string(),
  moeLayers: z.array(z.number().int()),
  expertCount: z.number().int(),
  expertUsedCount: z.number().int(),
  tokens: z.number().int(),
  /** length moeLayers.length * expertCount */
  counts: z.array(z.number()),
  /** sums of the router weights, same shape */
  weights: z.array(z.number()),
});
export type Usage = z.infer<typeof Usage>;

/** One token of a message with the experts of every MoE layer; -1: not computed. */
export const TokenRoute = z.object({
  position: z.number().int(),
  tokenId: z.number().int(),
  text: z.string(),
  prompt: z.boolean(),
  /** [moeLayer][k], k = 0 .. expertUsedCount-1, by falling weight */
  experts: z.array(z.array(z.number().int())),
  weights: z.array(z.array(z.number())),
});
export type TokenRoute = z.infer<typeof TokenRoute>;

export const expertMethods = {
  'experts.usage': { parameters: z.strictObject({ scope: UsageScope }), result: Usage.nullable() },
  /** tokens of a message that were recorded (setting `recordRoutes`), a page at a time */
  'experts.tokens': {
    parameters: z.strictObject({ messageId: z.string(), offset: z.number().int().min(0).default(0), limit: z.number().int().min(1).max(4096).default(1024) }),
    result: z.object({
      total: z.number().int(),
      /** evaluated tokens without routes: a generation keeps those of its first 16,384 */
      omitted: z.number().int().optional(),
      moeLayers: z.array(z.number().int()),
      expertUsedCount: z.number().int(),
      tokens: z.array(TokenRoute),
    }),
  },
} as const;

/**
 * Increments since the last frame of the same message, at most 30 a second each. `cells` is a packed little-endian list of
 * (u32 cell, u32 count, f32 weightSum); decode with `decodeCells`.
 */
export const ExpertFrame = z.object({
  modelId: z.string(),
  /** null for generations of the HTTP endpoint and the command line */
  chatId: z.string().nullable(),
  messageId: z.string().nullable(),
  layerCount: z.number().int(),
  expertCount: z.number().int(),
  tokens: z.number().int(),
  data: z.instanceof(Uint8Array),
});
export type ExpertFrame = z.infer<typeof ExpertFrame>;

export const expertEvents = { 'experts.frame': ExpertFrame } as const;

/** Calls `visit` for every cell of an ExpertFrame's `data`. */
export function decodeCells(data: Uint8Array, visit: (cell: number, count: number, weightSum: number) => void): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let offset = 0; offset + 12 <= data.byteLength; offset += 12) {
    visit(view.getUint32(offset, true), view.getUint32(offset + 4, true), view.getFloat32(offset + 8, true));
  }
}
