// Counts for a report while rows go by, in memory that does not depend on how many there are.
import {
  BAD_ROW_REASONS,
  type BadRowReason,
  type DatasetReport,
  type ListedBadRow,
  ROW_WARNINGS,
  type RowPlace,
  type RowWarning,
} from '../../contract/datasets.ts';
import { DuplicateFinder } from './duplicates.ts';
import type { Example } from './example.ts';
import type { BadRow } from './problem.ts';
import type { PartName, Split } from './split.ts';

/** Bad rows and duplicates beyond this many are counted, not listed. */
export const LISTED_MOST = 100;

/** Numbers for the rows of all files, one file behind the other; files come in their order. */
class Positions {
  /** of each file: the last position before it */
  readonly #begins: number[] = [];
  #last = 0;

  of({ file, place }: RowPlace): number {
    while (this.#begins.length <= file) this.#begins.push(this.#last);
    const position = (this.#begins[file] ?? 0) + place;
    this.#last = Math.max(this.#last, position);
    return position;
  }

  placeAt(position: number): RowPlace {
    const file = this.#begins.findLastIndex((begin) => begin < position);
    return { file, place: position - (this.#begins[file] ?? 0) };
  }
}

export class Tally {
  readonly #split: Split;
  readonly #reasons = new Map<BadRowReason, number>();
  readonly #listedBad: ListedBadRow[] = [];
  readonly #warnings = new Map<RowWarning, { count: number; first: RowPlace }>();
  readonly #duplicates = new DuplicateFinder();
  readonly #positions = new Positions();
  readonly #listedDuplicates: DatasetReport['duplicates']['listed'] = [];
  readonly #kinds = { conversation: 0, text: 0, preference: 0 };
  #duplicateCount = 0;
  #bad = 0;
  #validation = 0;

  constructor(split: Split) {
    this.#split = split;
  }

  bad({ file, place }: RowPlace, { reason, message: detail }: BadRow): ListedBadRow {
    this.#bad += 1;
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    const row: ListedBadRow = { file, place, reason, detail };
    if (this.#listedBad.length < LISTED_MOST) this.#listedBad.push(row);
    return row;
  }

  good({ kind }: Example, { file, place }: RowPlace, fingerprint: string, part: PartName): void {
    this.#kinds[kind] += 1;
    if (part === 'validation') this.#validation += 1;
    const first = this.#duplicates.add(fingerprint, this.#positions.of({ file, place }));
    if (first === null) return;
    this.#duplicateCount += 1;
    if (this.#listedDuplicates.length < LISTED_MOST) this.#listedDuplicates.push({ file, place, first: this.#positions.placeAt(first) });
  }

  warn(warnings: readonly RowWarning[], { file, place }: RowPlace): void {
    for (const warning of warnings) {
      const { count, first } = this.#warnings.get(warning) ?? { count: 0, first: { file, place } };
      this.#warnings.set(warning, { count: count + 1, first });
    }
  }

  report(): Omit<DatasetReport, 'files' | 'tokens' | 'preview'> {
    const good = this.#kinds.conversation + this.#kinds.text + this.#kinds.preference;
    const { validation: share, seed } = this.#split;
    return {
      rows: good + this.#bad,
      good,
      bad: this.#bad,
      kinds: { ...this.#kinds },
      badRows: {
        reasons: [...this.#reasons].sort(([, a], [, b]) => b - a).map(([reason, count]) => ({ reason, text: BAD_ROW_REASONS[reason], count })),
        listed: [...this.#listedBad].sort((a, b) => a.file - b.file || a.place - b.place),
      },
      warnings: [...this.#warnings].map(([warning, { count, first }]) => ({ warning, text: ROW_WARNINGS[warning], count, first })),
      duplicates: { count: this.#duplicateCount, incomplete: this.#duplicates.incomplete, listed: this.#listedDuplicates },
      split: { share, seed, train: good - this.#validation, validation: this.#validation },
    };
  }
}
