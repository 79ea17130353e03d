// Examples as the model sees them. The engine renders the chat template and tokenises, with the code that chat uses (native/decode/example.h).
import type { DatasetLoss, RowWarning } from '../../contract/datasets.ts';
import type { Engine } from '../../engine/engine.ts';
import type { EncodedExample, ExampleInput } from '../../engine/protocol.ts';
import { type Conversation, type Example, repliesOf } from './example.ts';
import { BadRow } from './problem.ts';

export interface ExampleLength {
  /** of the longer continuation in a preference */
  tokens: number;
  /** of both continuations */
  allTokens: number;
  supervised: number;
  warnings: RowWarning[];
  /** what was encoded: two in a preference, the chosen continuation first */
  sequences: EncodedExample[];
}

export interface PreviewPart {
  text: string;
  supervised: boolean;
}

export class ExampleEncoder {
  readonly #engine: Engine;
  readonly #model: number;
  readonly #loss: DatasetLoss;

  /** `model`: handle of a loaded model */
  constructor(engine: Engine, model: number, loss: DatasetLoss) {
    this.#engine = engine;
    this.#model = model;
    this.#loss = loss;
  }

  /** In the order of the examples. `withTokens`: the sequences have their tokens. */
  async lengths(examples: readonly Example[], withTokens: boolean, signal?: AbortSignal): Promise<(ExampleLength | BadRow)[]> {
    const inputs = examples.map((example) => this.inputs(example));
    const encoded = await this.#encode(inputs.flat(), withTokens, signal);
    let at = 0;
    return inputs.map(({ length }) => {
      at += length;
      return lengthOf(encoded.slice(at - length, at));
    });
  }

  /** Its tokens as text, one list of parts for each continuation. Throws BadRow. */
  async preview(example: Example): Promise<PreviewPart[][]> {
    const encoded = await this.#encode(this.inputs(example), true);
    return Promise.all(
      encoded.map((each) => {
        if (each instanceof BadRow) throw each;
        return this.#parts(each);
      }),
    );
  }

  /** What the engine is asked to encode: one input, or two for a preference. */
  inputs(example: Example): ExampleInput[] {
    switch (example.kind) {
      case 'text':
        return [{ text: example.text }];
      case 'conversation':
        return [this.#chat(example, repliesOf(example))];
      case 'preference': {
        const { prompt, tools } = example;
        return [example.chosen, example.rejected].map((reply) => {
          const messages = [...prompt, ...reply];
          return this.#chat(
            { messages, tools },
            repliesOf({ messages }).filter((index) => index >= prompt.length),
          );
        });
      }
    }
  }

  #chat({ messages, tools }: Pick<Conversation, 'messages' | 'tools'>, replies: number[]): ExampleInput {
    const chat = { messages, ...(tools && { tools }) };
    if (this.#loss === 'all') return { chat };
    return { chat, replies: this.#loss === 'last' ? replies.slice(-1) : replies };
  }

  async #encode(examples: ExampleInput[], withTokens: boolean, signal?: AbortSignal): Promise<(EncodedExample | BadRow)[]> {
    const result = await this.#engine.call('examples.encode', { model: this.#model, examples, withTokens }, { signal });
    return result.examples.map((each) => {
      if (!('error' in each)) return each;
      const { code, message } = each.error;
      return new BadRow(code === 'template.failed' ? 'template.failed' : 'tokens.failed', message);
    });
  }

  async #parts({ tokens = [], supervised }: EncodedExample): Promise<PreviewPart[]> {
    const cuts = [...new Set([0, ...supervised.flat(), tokens.length])];
    const runs = cuts.slice(0, -1).map((begin, index) => ({ begin, end: cuts[index + 1] ?? tokens.length }));
    return Promise.all(
      runs.map(async ({ begin, end }) => {
        const { text } = await this.#engine.call('model.detokenize', { model: this.#model, tokens: tokens.slice(begin, end) });
        return { text, supervised: supervised.some(([from, to]) => from <= begin && end <= to) };
      }),
    );
  }
}

function lengthOf(encoded: (EncodedExample | BadRow)[]): ExampleLength | BadRow {
  const length: ExampleLength = { tokens: 0, allTokens: 0, supervised: 0, warnings: [], sequences: [] };
  for (const each of encoded) {
    if (each instanceof BadRow) return each;
    length.sequences.push(each);
    length.tokens = Math.max(length.tokens, each.tokenCount);
    length.allTokens += each.tokenCount;
    length.supervised += each.supervisedCount;
    if (each.unended) length.warnings.push('reply.unended');
    if (each.crossing) length.warnings.push('reply.crossing');
    if (each.hidden) length.warnings.push('tools.hidden');
  }
  if (length.tokens === 0) return new BadRow('content.empty', 'it has no tokens');
  return { ...length, warnings: [...new Set(length.warnings)] };
}
