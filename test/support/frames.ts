// Encodes the engine's binary frames (layout: native/rpc/README.md), written apart from the decoder so that tests compare two readings of that page.
export interface TokenSpec {
  id: number;
  text: string;
  logprob?: number;
  endOfGeneration?: boolean;
  top?: { id: number; logprob: number; bytes: Uint8Array }[];
}

function u8(value: number): Buffer {
  return Buffer.from([value]);
}
function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
function i32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
/** f16 of values that it holds exactly: powers of two times 0..2047. */
function f16(value: number): Buffer {
  if (value === 0) return u16(0);
  const exponent = Math.floor(Math.log2(value));
  return u16(((exponent + 15) << 10) | Math.round((value / 2 ** exponent - 1) * 1024));
}

function header(kind: number, generation: number): Buffer {
  return Buffer.concat([u8(0xb1), u8(kind), u16(1), u32(generation)]);
}

export function encodeTokens(generation: number, tokens: TokenSpec[]): Buffer {
  const encoded = tokens.map((token) => {
    const text = Buffer.from(token.text);
    const top = token.top ?? [];
    return Buffer.concat([
      i32(token.id),
      f32(token.logprob ?? Number.NaN),
      u8(token.endOfGeneration ? 1 : 0),
      u8(top.length),
      u16(text.length),
      text,
      ...top.map((each) => Buffer.concat([i32(each.id), f32(each.logprob), u16(each.bytes.length), each.bytes])),
    ]);
  });
  return Buffer.concat([header(1, generation), u32(tokens.length), ...encoded]);
}

export function encodeRouting(
  generation: number,
  shape: { layerCount: number; expertCount: number; tokens: number },
  cells: [cell: number, count: number, weight: number][],
): Buffer {
  const body = cells.map(([cell, count, weight]) => Buffer.concat([u32(cell), u32(count), f32(weight)]));
  return Buffer.concat([header(2, generation), u16(shape.layerCount), u16(shape.expertCount), u32(shape.tokens), u32(cells.length), ...body]);
}

/** `experts` and `weights`: [token][layer][k], flat. */
export function encodeRoutes(
  generation: number,
  firstPosition: number,
  tokenIds: number[],
  shape: { layerCount: number; expertUsedCount: number },
  experts: number[],
  weights: number[],
): Buffer {
  const head = [header(3, generation), u32(firstPosition), u32(tokenIds.length), u16(shape.layerCount), u16(shape.expertUsedCount)];
  return Buffer.concat([...head, ...tokenIds.map(i32), ...experts.map(u16), ...weights.map(f16)]);
}

export function encodeLogits(generation: number, vocabularySize: number, logits: number[]): Buffer {
  return Buffer.concat([header(4, generation), u32(logits.length / vocabularySize), u32(vocabularySize), ...logits.map(f32)]);
}
