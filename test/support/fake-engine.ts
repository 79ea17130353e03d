// A scripted stand-in for moebius-engine that speaks the real protocol in a real process, for what the real engine does only when it is broken.
// Run as: node fake-engine.ts '<Script as JSON>'. With `counter` every start appends a byte to that file, so that lives can differ.
import { appendFileSync, statSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { encodeLogits, encodeRoutes, encodeRouting, encodeTokens } from './frames.ts';

export interface Script {
  llamaVersion?: string;
  protocolVersion?: number;
  /** file that counts the starts */
  counter?: string;
  /** what happens at the start */
  start?: 'crash' | 'garbage' | 'silent' | 'refuse-version';
  /** `start` applies to the first N lives only; default: all */
  startUntil?: number;
  /** what `generate` does after `tokens` tokens instead of ending */
  after?: 'wait' | 'crash' | 'exit' | 'abort' | 'garbage' | 'half-frame' | 'bad-frame' | 'fail' | 'bad-result';
  tokens?: number;
  /** between tokens */
  interval?: number;
  /** split every write into pieces of this many bytes, each its own write */
  pieces?: number;
  /** ignore shutdown */
  stubborn?: boolean;
  /** no answer to ping */
  mutePing?: boolean;
}

/** Arguments of a process that runs `script`. */
export function fakeEngine(script: Script = {}): { command: string; args: string[]; llamaVersion: string } {
  return { command: process.execPath, args: [fileURLToPath(import.meta.url), JSON.stringify(script)], llamaVersion: '0.5.0' };
}

/** 2 MoE layers of 4 experts, 2 used. */
export const fakeShape = { layerCount: 2, expertCount: 4, expertUsedCount: 2 };

interface Request {
  id?: number;
  method: string;
  params: Record<string, unknown>;
}

class FakeEngine {
  readonly #script: Script;
  readonly #cancelled = new Set<unknown>();

  constructor(script: Script) {
    this.#script = script;
  }

  start(): void {
    const { counter, start, startUntil = Number.POSITIVE_INFINITY } = this.#script;
    if (counter !== undefined) appendFileSync(counter, '.');
    const life = counter === undefined ? 1 : statSync(counter).size;
    writeSync(2, `${JSON.stringify({ level: 'info', text: `fake engine, life ${life}` })}\n`);
    const mischief = life <= startUntil ? start : undefined;
    if (mischief === 'crash') {
      writeSync(2, `${JSON.stringify({ level: 'error', text: 'about to crash' })}\n`);
      process.kill(process.pid, 'SIGSEGV');
    }
    if (mischief === 'garbage') writeSync(1, 'ggml_init: found 1 device\n');
    this.#listen(mischief);
  }

  #listen(mischief: Script['start']): void {
    let pending = Buffer.alloc(0);
    process.stdin.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      for (;;) {
        const end = pending.indexOf('\r\n\r\n');
        const length = Number(/Content-Length: (\d+)/.exec(pending.toString('latin1', 0, Math.max(end, 0)))?.[1]);
        if (end < 0 || pending.length < end + 4 + length) return;
        const request = JSON.parse(pending.toString('utf8', end + 4, end + 4 + length)) as Request;
        pending = pending.subarray(end + 4 + length);
        if (mischief !== 'silent') void this.#handle(request, mischief);
      }
    });
    process.stdin.on('end', () => process.exit(0));
  }

  #write(payload: Buffer): void {
    const all = Buffer.concat([Buffer.from(`Content-Length: ${payload.length}\r\n\r\n`), payload]);
    const step = this.#script.pieces ?? all.length;
    for (let offset = 0; offset < all.length; offset += step) writeSync(1, all.subarray(offset, offset + step));
  }

  #send(message: object): void {
    this.#write(Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message })));
  }

  #refuse(id: unknown, code: string, message: string, details: object = {}): void {
    this.#send({ id, error: { code: -32000, message, data: { code, details } } });
  }

  async #handle({ id, method, params }: Request, mischief: Script['start']): Promise<void> {
    const { llamaVersion = '0.5.0', protocolVersion = 1, stubborn, mutePing } = this.#script;
    switch (method) {
      case 'initialize':
        if (mischief === 'refuse-version') return this.#refuse(id, 'engine.version', 'The libraries are of llama.cpp 0.4.0, this program needs 0.5.0.');
        return this.#send({
          id,
          result: { engineVersion: '0.1.0', protocolVersion, llamaVersion, backends: ['CPU'], backendProblems: [], processId: process.pid },
        });
      case 'ping':
        return mutePing ? undefined : this.#send({ id, result: { uptimeMilliseconds: process.uptime() * 1000, running: 0 } });
      case 'shutdown':
        if (stubborn) return;
        this.#send({ id, result: {} });
        process.exit(0);
        break;
      case '$/cancelRequest':
        this.#cancelled.add(params.id);
        return;
      case 'model.detokenize':
        return this.#send({ id, result: { text: (params.tokens as number[]).map((token) => `<${token}>`).join('') } });
      case 'model.logits':
        this.#write(encodeLogits(Number(params.generation), 3, [1, 2, 3]));
        return this.#send({ id, result: { rowCount: 1, vocabularySize: 3 } });
      case 'generate':
        return this.#generate(id, params);
      default:
        return this.#refuse(id, 'model.not-found', `There is no ${method} here.`, { method });
    }
  }

  /** Prompt of 3 tokens (ids 100..102), then `tokens` tokens; token n has the text ` n` and used experts n%4 and (n+1)%4. */
  async #generate(id: unknown, params: Record<string, unknown>): Promise<void> {
    const { tokens = 5, interval = 1, after } = this.#script;
    const generation = Number(params.generation);
    if (params.progressToken !== undefined) this.#send({ method: '$/progress', params: { token: params.progressToken, fraction: 0.5, stage: 'prompt' } });
    this.#route(generation, 0, [100, 101, 102], params.routes === true);
    for (let index = 0; index < tokens && !this.#cancelled.has(id); index++) {
      this.#write(encodeTokens(generation, [{ id: index, text: ` ${index}`, endOfGeneration: index === tokens - 1 }]));
      this.#route(generation, 3 + index, [index], params.routes === true);
      await new Promise((resolve) => setTimeout(resolve, interval));
    }
    if (after !== undefined && !(await this.#misbehave(after, generation, id))) return;
    this.#finish(id, this.#cancelled.has(id) ? 'cancelled' : 'stop', tokens);
  }

  #route(generation: number, position: number, ids: number[], routes: boolean): void {
    const cells = ids.flatMap((token) => [0, 1].flatMap((layer) => [0, 1].map((k) => layer * 4 + ((token + k) % 4))));
    this.#write(
      encodeRouting(
        generation,
        { ...fakeShape, tokens: ids.length },
        [...new Set(cells)].map((cell) => [cell, cells.filter((c) => c === cell).length, 0.5]),
      ),
    );
    if (!routes) return;
    const experts = ids.flatMap((token) => [0, 1].flatMap(() => [token % 4, (token + 1) % 4]));
    this.#write(
      encodeRoutes(
        generation,
        position,
        ids,
        fakeShape,
        experts,
        experts.map((_, index) => (index % 2 === 0 ? 0.75 : 0.25)),
      ),
    );
  }

  #finish(id: unknown, finishReason: string, tokens: number): void {
    const times = { queueMilliseconds: 0, promptMilliseconds: 1, decodeMilliseconds: 2, timeToFirstTokenMilliseconds: 1 };
    const counts = { promptTokens: 3, cachedTokens: 0, tokens, shiftedTokens: 0, seed: 7 };
    this.#send({ id, result: { finishReason, stopString: null, ...counts, ...times, lossy: null, message: null } });
  }

  /** True: go on and answer. */
  async #misbehave(after: NonNullable<Script['after']>, generation: number, id: unknown): Promise<boolean> {
    const whole = encodeTokens(generation, [{ id: 9, text: 'x' }]);
    switch (after) {
      case 'wait':
        while (!this.#cancelled.has(id)) await new Promise((resolve) => setTimeout(resolve, 2));
        return true;
      case 'crash':
        process.kill(process.pid, 'SIGSEGV');
        break;
      case 'abort':
        process.kill(process.pid, 'SIGABRT');
        break;
      case 'exit':
        writeSync(2, 'std::bad_alloc\n');
        process.exit(3);
        break;
      case 'garbage':
        writeSync(1, 'a stray printf\n');
        break;
      case 'half-frame':
        writeSync(1, Buffer.concat([Buffer.from(`Content-Length: ${whole.length}\r\n\r\n`), whole.subarray(0, 10)]));
        process.kill(process.pid, 'SIGKILL');
        break;
      case 'bad-frame':
        this.#write(whole.subarray(0, whole.length - 1));
        break;
      case 'fail':
        this.#refuse(id, 'context.full', 'The prompt has 900 tokens, the context 512. Shorten it or load the model with a larger context.', {
          promptTokens: 900,
          contextLength: 512,
        });
        break;
      case 'bad-result':
        this.#send({ id, result: { finishReason: 'because' } });
        break;
    }
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) new FakeEngine(JSON.parse(process.argv[2] ?? '{}') as Script).start();
