// Reads the engine's stdout for vscode-jsonrpc. The library's own reader decodes every payload as a JSON message, queues it behind all others and
// takes foreign bytes for the start of a header until a blank line comes; this one hands binary frames on at once and refuses the first foreign byte.
import type { Readable } from 'node:stream';
import { AbstractMessageReader, type DataCallback, Disposable, type Message } from 'vscode-jsonrpc/node';
import { FRAME_MARK, ProtocolViolation } from './frames.ts';

const HEADER_NAME = 'content-length:';
const HEADER_END = '\r\n\r\n';
const MAXIMUM_HEADER_BYTES = 256;
/** Room for the logits of a whole batch of a large vocabulary. */
const MAXIMUM_PAYLOAD_BYTES = 2 ** 30;

/**
 * Order: a frame is handed on when it is complete, JSON messages go through the connection's queue; so every frame of a generation is seen before its result.
 * After the first violation `onError` fires once and nothing more is read.
 */
export class EngineMessageReader extends AbstractMessageReader {
  readonly #stream: Readable;
  readonly #onFrame: (bytes: Uint8Array) => void;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** of the payload that comes next; null: a header comes next */
  #payloadBytes: number | null = null;
  #broken = false;

  /** `onFrame` may throw ProtocolViolation. */
  constructor(stream: Readable, onFrame: (bytes: Uint8Array) => void) {
    super();
    this.#stream = stream;
    this.#onFrame = onFrame;
  }

  override listen(callback: DataCallback): Disposable {
    const onData = (chunk: Buffer) => this.#append(chunk, callback);
    const onError = (error: Error) => this.fireError(error);
    const onClose = () => this.fireClose();
    this.#stream.on('data', onData).on('error', onError).on('close', onClose);
    return Disposable.create(() => this.#stream.off('data', onData).off('error', onError).off('close', onClose));
  }

  #append(chunk: Buffer, callback: DataCallback): void {
    if (this.#broken) return;
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    try {
      for (let payload = this.#next(); payload !== null; payload = this.#next()) this.#dispatch(payload, callback);
    } catch (error) {
      this.#broken = true;
      this.#pending = [];
      this.fireError(error);
    }
  }

  /** The next whole payload, or null. */
  #next(): Buffer | null {
    if (this.#payloadBytes === null) this.#payloadBytes = this.#readHeader();
    if (this.#payloadBytes === null || this.#pendingBytes < this.#payloadBytes) return null;
    const all = this.#joined();
    const payload = all.subarray(0, this.#payloadBytes);
    this.#keep(all.subarray(this.#payloadBytes));
    this.#payloadBytes = null;
    return payload;
  }

  /** The announced payload length; null: the header is not complete. Chunks are joined only here and for a whole payload, so the cost stays linear. */
  #readHeader(): number | null {
    if (this.#pendingBytes === 0) return null;
    const all = this.#joined();
    const start = all.toString('latin1', 0, HEADER_NAME.length).toLowerCase();
    if (!HEADER_NAME.startsWith(start)) throw new ProtocolViolation(`foreign bytes on the engine's stdout: ${JSON.stringify(all.toString('latin1', 0, 60))}`);
    const end = all.indexOf(HEADER_END);
    if (end < 0) {
      if (all.length > MAXIMUM_HEADER_BYTES) throw new ProtocolViolation(`a header of more than ${MAXIMUM_HEADER_BYTES} bytes`);
      return null;
    }
    const header = all.toString('latin1', 0, end);
    const length = Number(/^content-length: *(\d{1,10}) *(\r\n|$)/i.exec(header)?.[1] ?? Number.NaN);
    if (!(length > 0 && length <= MAXIMUM_PAYLOAD_BYTES)) throw new ProtocolViolation(`an unusable header: ${JSON.stringify(header.slice(0, 60))}`);
    this.#keep(all.subarray(end + HEADER_END.length));
    return length;
  }

  #joined(): Buffer {
    const [only] = this.#pending;
    if (this.#pending.length === 1 && only !== undefined) return only;
    const all = Buffer.concat(this.#pending, this.#pendingBytes);
    this.#pending = [all];
    return all;
  }

  #keep(rest: Buffer): void {
    this.#pending = rest.length > 0 ? [rest] : [];
    this.#pendingBytes = rest.length;
  }

  #dispatch(payload: Buffer, callback: DataCallback): void {
    if (payload[0] === FRAME_MARK) this.#onFrame(payload);
    else callback(parseMessage(payload));
  }
}

function parseMessage(payload: Buffer): Message {
  try {
    return JSON.parse(payload.toString('utf8')) as Message; // the connection checks the shape of what it gets
  } catch (cause) {
    throw new ProtocolViolation(`a message of ${payload.length} bytes that is not JSON: ${JSON.stringify(payload.toString('utf8', 0, 60))}`, { cause });
  }
}
