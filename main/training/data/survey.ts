// Reads whole files once, row by row, and reports: what is good, bad and strange, how long it is, what is there twice, which side of the split it is on.
import { setImmediate } from 'node:timers/promises';
import type { DatasetLoss, DatasetReport, ListedBadRow, PreviewedExample, RowPlace, RowWarning, SurveyedFile } from '../../contract/datasets.ts';
import type { EncodedExample } from '../../engine/protocol.ts';
import type { ExampleEncoder, ExampleLength } from './encoder.ts';
import { type Example, fingerprint } from './example.ts';
import { toExample } from './formats/convert.ts';
import { LengthHistogram } from './histogram.ts';
import { type PlannedFile, planFile, type Wish } from './plan.ts';
import { BadRow } from './problem.ts';
import type { Row } from './readers/row.ts';
import { type PartName, partOf, type Split } from './split.ts';
import { Tally } from './tally.ts';

/** A good example with its tokens; `sequences`: two of a preference, the chosen continuation first. */
export interface EncodedRow {
  place: RowPlace;
  part: PartName;
  sequences: EncodedExample[];
}

export interface SurveyTokens {
  encoder: ExampleEncoder;
  model: string;
  loss: DatasetLoss;
  context: number;
  /** every good example, in the order of the rows, with its tokens */
  onEncoded?(row: EncodedRow): Promise<void>;
}

export interface SurveyOptions extends Wish {
  files: string[];
  split: Split;
  /** null: nothing is tokenised */
  tokens: SurveyTokens | null;
  /** examples that are shown as the model sees them */
  previews: number;
  /** every bad row, as it is found */
  onBadRow?(row: ListedBadRow): Promise<void> | void;
  onProgress?(progress: { fraction: number }): void;
  signal?: AbortSignal;
}

/** Throws file.*, request.invalid, dataset.format-unsure, engine.*; the signal's reason when aborted. */
export async function surveyDataset(options: SurveyOptions): Promise<DatasetReport> {
  const planned = [];
  for (const path of options.files) planned.push(await planFile(path, options));
  return new Survey(options, planned).run();
}

interface Read {
  example: Example;
  place: RowPlace;
  warnings: RowWarning[];
  fingerprint: string;
}

/** The engine is given this much at once, and two of it, so that it does not wait. */
const BATCH_EXAMPLES = 64;
const BATCH_CHARACTERS = 512 * 1024;
const BATCHES_AT_ONCE = 2;

class Survey {
  readonly #options: SurveyOptions;
  readonly #planned: PlannedFile[];
  readonly #files: SurveyedFile[];
  readonly #tally: Tally;
  readonly #lengths = new LengthHistogram();
  readonly #preview: PreviewedExample[] = [];
  #totalTokens = 0;
  #supervised = 0;
  #overContext = 0;
  #batch: Read[] = [];
  #batchCharacters = 0;
  readonly #running: Promise<void>[] = [];

  constructor(options: SurveyOptions, planned: PlannedFile[]) {
    this.#options = options;
    this.#planned = planned;
    this.#tally = new Tally(options.split);
    this.#files = planned.map(({ data: { path, kind, unit, bytes }, format, map, why, confidence }) => {
      return { path, kind, unit, bytes, format, map, why, confidence, rows: 0, bad: 0 };
    });
  }

  async run(): Promise<DatasetReport> {
    const bytes = this.#files.reduce((sum, file) => sum + file.bytes, 0);
    let before = 0;
    try {
      for (const [index, { data }] of this.#planned.entries()) {
        for await (const rows of data.rows()) {
          this.#options.signal?.throwIfAborted();
          for (const row of rows) await this.#take(index, row);
          this.#options.onProgress?.({ fraction: (before + (rows.at(-1)?.offset ?? 0)) / Math.max(1, bytes) });
          await setImmediate(); // lets signals and answers in
        }
        before += data.bytes;
      }
      this.#send();
    } finally {
      await Promise.allSettled(this.#running);
    }
    await Promise.all(this.#running);
    return this.#report();
  }

  async #take(file: number, row: Row): Promise<void> {
    const place = { file, place: row.place };
    const surveyed = this.#files[file];
    if (surveyed) surveyed.rows += 1;
    try {
      if (row.problem) throw row.problem;
      const planned = this.#planned[file];
      if (planned === undefined) return; // #files and #planned have the same length
      const { example, warnings } = toExample(planned.format, planned.map, row.value);
      await this.#keep({ example, place, warnings, fingerprint: fingerprint(example) });
    } catch (error) {
      if (!(error instanceof BadRow)) throw error;
      await this.#refuse(place, error);
    }
  }

  async #keep(read: Read): Promise<void> {
    if (this.#options.tokens === null) return this.#count(read, null);
    this.#batch.push(read);
    this.#batchCharacters += charactersOf(read.example);
    if (this.#batch.length < BATCH_EXAMPLES && this.#batchCharacters < BATCH_CHARACTERS) return;
    this.#send();
    if (this.#running.length >= BATCHES_AT_ONCE) await this.#running.shift();
  }

  /** Batches are counted in their order, whichever is answered first. */
  #send(): void {
    const { tokens, signal } = this.#options;
    if (tokens === null || this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#batchCharacters = 0;
    const earlier = this.#running.at(-1);
    const answer = tokens.encoder.lengths(
      batch.map(({ example }) => example),
      tokens.onEncoded !== undefined,
      signal,
    );
    const counted = Promise.all([answer, earlier]).then(([lengths]) => this.#countBatch(batch, lengths));
    counted.catch(() => {}); // awaited later
    this.#running.push(counted);
  }

  async #countBatch(batch: Read[], lengths: (ExampleLength | BadRow)[]): Promise<void> {
    for (const [index, read] of batch.entries()) {
      const length = lengths[index];
      if (length instanceof BadRow) await this.#refuse(read.place, length);
      else await this.#count(read, length ?? null);
    }
  }

  async #count(read: Read, length: ExampleLength | null): Promise<void> {
    const { tokens, previews, split } = this.#options;
    const part = partOf(read.fingerprint, split);
    this.#tally.good(read.example, read.place, read.fingerprint, part);
    this.#tally.warn(read.warnings, read.place);
    if (length === null || tokens === null) return;
    this.#lengths.add(length.tokens);
    this.#totalTokens += length.allTokens;
    this.#supervised += length.supervised;
    this.#tally.warn(length.warnings, read.place);
    if (length.tokens > tokens.context) {
      this.#overContext += 1;
      this.#tally.warn(['tokens.over-context'], read.place);
    }
    await tokens.onEncoded?.({ place: read.place, part, sequences: length.sequences });
    if (this.#preview.length < previews) this.#preview.push({ ...read.place, texts: await tokens.encoder.preview(read.example) });
  }

  async #refuse(place: RowPlace, problem: BadRow): Promise<void> {
    const file = this.#files[place.file];
    if (file) file.bad += 1;
    const row = this.#tally.bad(place, problem);
    await this.#options.onBadRow?.(row);
  }

  #report(): DatasetReport {
    const { tokens } = this.#options;
    const measured = tokens && {
      model: tokens.model,
      loss: tokens.loss,
      lengths: this.#lengths.summary(),
      total: this.#totalTokens,
      supervised: this.#supervised,
      context: tokens.context,
      overContext: this.#overContext,
    };
    return { files: this.#files, ...this.#tally.report(), tokens: measured, preview: this.#preview };
  }
}

function charactersOf(example: Example): number {
  if (example.kind === 'text') return example.text.length;
  const messages = example.kind === 'conversation' ? example.messages : [...example.prompt, ...example.chosen, ...example.rejected];
  return messages.reduce((sum, { content }) => sum + content.length, 0);
}
