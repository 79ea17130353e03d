// The report of a survey for people.
import { type DatasetReport, type DataUse, placeText, REPETITIONS_NOT_SOUGHT, type RowsReport } from '../contract/datasets.ts';
import type { EncodedCounts } from '../training/data/encoded/format.ts';
import { formatBytes, formatCount, formatTable } from './output.ts';

/** Longer lists are cut here; --json and --bad-rows have more. */
const SHOWN = 10;
const BAR_WIDTH = 40;
const PREVIEW_CHARACTERS = 2000;

/** Around what is learnt */
const [OPEN, CLOSE] = ['⟦', '⟧'];

export function datasetText(report: DatasetReport): string {
  const sections = [
    filesText(report),
    previewText(report),
    countsText(report),
    lengthsText(report),
    warningsText(report),
    duplicatesText(report),
    badText(report),
  ];
  return sections.filter((section) => section !== '').join('\n\n');
}

export function encodedText({ parts: { train, validation }, cut, leftOut }: EncodedCounts, folder: string): string {
  const bytes = [train, validation].reduce((sum, { exampleBytes, indexBytes }) => sum + exampleBytes + indexBytes, 0);
  const lines = [
    `Written for the trainer: ${folder}, ${formatBytes(bytes)}`,
    `  training: ${plural(train.examples, 'example')}, ${formatCount(train.tokens)} tokens, ${formatCount(train.targets)} learnt; the longest has ${train.longest}`,
    `  validation: ${plural(validation.examples, 'example')}, ${formatCount(validation.tokens)} tokens, ${formatCount(validation.targets)} learnt`,
  ];
  return [...lines, ...omittedLines({ cut, leftOut })].join('\n');
}

/** What became of the rows that are trained on or evaluated, with what of them was left out. */
export function dataUseText(use: DataUse): string {
  const { rows, good, bad, split } = use;
  const counts = [
    `data: ${plural(rows, 'row')}, ${good} good, ${bad} bad; ${split.train} for training, ${split.validation} for validation`,
    ...omittedLines(use),
  ];
  const sections = [counts.join('\n'), warningsText(use), duplicatesText(use), badText(use)];
  return sections.filter((section) => section !== '').join('\n');
}

function omittedLines({ cut, leftOut }: Pick<DataUse, 'cut' | 'leftOut'>): string[] {
  const lines = [];
  if (cut > 0) lines.push(`  ${cut} cut to the most tokens that may be`);
  if (leftOut.overLong > 0) lines.push(`  ${leftOut.overLong} left out: more tokens than may be`);
  if (leftOut.nothingToLearn > 0) lines.push(`  ${leftOut.nothingToLearn} left out: nothing to learn in them`);
  return lines;
}

const percent = (part: number, whole: number) => `${((part * 100) / Math.max(1, whole)).toFixed(1)}%`;
const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;

function filesText({ files }: DatasetReport): string {
  return files
    .map(({ path, kind, bytes, format, map, why, confidence, rows, bad }) => {
      const pairs = Object.entries(map).map(([field, column]) => `${field}=${column}`);
      const sure = confidence === null ? '' : ` (${percent(confidence, 1)} sure)`;
      return [
        `${path}: ${formatBytes(bytes)} of ${kind}, ${plural(rows, 'row')}, ${bad} of them bad`,
        `  format: ${format}${sure}: ${why}${pairs.length > 0 ? `; ${pairs.join(', ')}` : ''}`,
      ].join('\n');
    })
    .join('\n');
}

function previewText({ files, preview }: DatasetReport): string {
  if (preview.length === 0) return '';
  const shown = preview.map(({ texts, ...place }) => {
    const marked = texts.map((parts) => parts.map(({ text, supervised }) => (supervised ? `${OPEN}${text}${CLOSE}` : text)).join(''));
    const named = marked.length === 2 ? [`chosen:\n${marked[0]}`, `rejected:\n${marked[1]}`] : marked;
    return [`--- ${placeText(files, place)}`, ...named.map(cut)].join('\n');
  });
  return [`As the model sees them; ${OPEN}what is learnt${CLOSE}:`, ...shown].join('\n');
}

const cut = (text: string) => (text.length > PREVIEW_CHARACTERS ? `${text.slice(0, PREVIEW_CHARACTERS)} [... ${text.length} characters]` : text);

function countsText({ rows, good, bad, kinds, split, tokens }: DatasetReport): string {
  const { conversation, text, preference } = kinds;
  const kindTexts = [conversation && plural(conversation, 'conversation'), text && plural(text, 'text'), preference && plural(preference, 'preference pair')];
  const facts = [
    ['rows', `${rows}: ${good} good, ${bad} bad`],
    ['examples', kindTexts.filter(Boolean).join(', ') || 'none'],
    ['split', `${split.train} for training, ${split.validation} for validation (share ${split.share}, seed ${split.seed})`],
  ];
  if (tokens) {
    facts.push([
      'tokens',
      `${formatCount(tokens.total)}, ${formatCount(tokens.supervised)} learnt (${percent(tokens.supervised, tokens.total)}; loss: ${tokens.loss})`,
    ]);
  }
  return formatTable(facts);
}

function lengthsText({ tokens }: DatasetReport): string {
  if (tokens === null || tokens.lengths.count === 0) return '';
  const { lengths, overContext, context } = tokens;
  const most = Math.max(...lengths.bars.map(({ count }) => count));
  const rows = lengths.bars.map(({ from, to, count }) => [`${from}-${to}`, `${count}`, '#'.repeat(Math.ceil((count * BAR_WIDTH) / most))]);
  return [
    `Tokens per example: half have at most ${lengths.p50}, 90% ${lengths.p90}, 99% ${lengths.p99}, the longest ${lengths.max}; ${overContext} more than the context of ${context}.`,
    formatTable([['tokens', 'examples', ''], ...rows]),
  ].join('\n');
}

function warningsText({ files, warnings }: RowsReport): string {
  if (warnings.length === 0) return '';
  const lines = warnings.map(({ text, count, first }) => `  ${count}: ${text} (first: ${placeText(files, first)})`);
  return ['Used, but worth a look:', ...lines].join('\n');
}

function duplicatesText({ files, duplicates: { count, incomplete, listed } }: RowsReport): string {
  const limit = incomplete ? ` ${REPETITIONS_NOT_SOUGHT}` : '';
  if (count === 0) return limit.trim();
  const lines = listed.slice(0, SHOWN).map(({ first, ...place }) => `  ${placeText(files, place)} repeats ${placeText(files, first)}`);
  return [`${count} ${count === 1 ? 'row repeats' : 'rows repeat'} an earlier one (on the same side of the split):${limit}`, ...lines, ...more(count)].join(
    '\n',
  );
}

function badText({ files, bad, badRows: { reasons, listed } }: RowsReport): string {
  if (bad === 0) return '';
  const counts = reasons.map(({ count, text }) => `  ${count}: ${text}`);
  const lines = listed.slice(0, SHOWN).map(({ reason, detail, ...place }) => `  ${placeText(files, place)}: ${reason}: ${detail}`);
  return [`${plural(bad, 'bad row')}, left out:`, ...counts, ...lines, ...more(bad)].join('\n');
}

const more = (count: number): string[] => (count > SHOWN ? [`  ... and ${count - SHOWN} more`] : []);
