import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EngineMessageReader } from '../../../main/engine/reader.ts';

function packet(payload: Uint8Array | string): Buffer {
  const bytes = Buffer.from(payload);
  return Buffer.concat([Buffer.from(`Content-Length: ${bytes.length}\r\n\r\n`), bytes]);
}

/** What the reader hands on for chunks, in order: messages, frames (as hex) and errors. */
function read(chunks: Uint8Array[]): unknown[] {
  const heard: unknown[] = [];
  const stream = new PassThrough();
  const reader = new EngineMessageReader(stream, (bytes) => heard.push(Buffer.from(bytes).toString('hex')));
  reader.onError((error) => heard.push(error.message));
  reader.listen((message) => heard.push(message));
  for (const chunk of chunks) stream.emit('data', Buffer.from(chunk));
  reader.dispose();
  return heard;
}

const stream = Buffer.concat([packet('{"jsonrpc":"2.0","id":1,"result":"né"}'), packet(Buffer.from([0xb1, 1, 2, 13, 10, 13, 10])), packet('{"a":2}')]);
const expected = [{ jsonrpc: '2.0', id: 1, result: 'né' }, 'b101020d0a0d0a', { a: 2 }];

describe('EngineMessageReader', () => {
  it('parts JSON messages from binary frames', () => {
    expect(read([stream])).toEqual(expected);
  });

  it('reads the same however the stream is cut into chunks', () => {
    expect(read([...stream].map((byte) => Uint8Array.of(byte)))).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 6 }), (cuts) => {
        const borders = [0, ...cuts.sort((a, b) => a - b), stream.length];
        expect(read(borders.slice(1).map((end, index) => stream.subarray(borders[index], end)))).toEqual(expected);
      }),
    );
  });

  it('accepts header names of any case and further headers', () => {
    expect(read([Buffer.from('content-length: 2\r\nContent-Type: x\r\n\r\n{}')])).toEqual([{}]);
  });

  it.each([
    ['foreign text', 'hello\n', 'foreign bytes'],
    ['a header without an end', `Content-Length: 1\r\nX: ${'x'.repeat(300)}`, 'more than 256 bytes'],
    ['a length that is no number', 'Content-Length: abc\r\n\r\n', 'unusable header'],
    ['a negative length', 'Content-Length: -1\r\n\r\n', 'unusable header'],
    ['no bytes', 'Content-Length: 0\r\n\r\n', 'unusable header'],
    ['more than it may have', 'Content-Length: 9999999999\r\n\r\n', 'unusable header'],
    ['a payload that is neither', 'Content-Length: 3\r\n\r\nabc', 'not JSON'],
  ])('refuses %s and reads nothing after it', (_, text, message) => {
    const heard = read([packet('{"a":1}'), Buffer.from(text), packet('{"a":2}')]);
    expect(heard).toEqual([{ a: 1 }, expect.stringContaining(message)]);
  });
});
