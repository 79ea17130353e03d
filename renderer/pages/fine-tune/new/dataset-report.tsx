// What a survey found: figures, lengths, examples as the model sees them, and every row that is left out, with its reason.
import { type DatasetReport, REPETITIONS_NOT_SOUGHT } from '../../../../main/contract/index.ts';
import { type Column, Figures, format, Notice, Table } from '../../../components/index.ts';
import { fileName, placeText } from '../place-text.ts';
import style from './new-run.module.css';
import { Preview } from './preview.tsx';

export function DatasetReportView({ report }: { report: DatasetReport }) {
  return (
    <div className={style.report}>
      <FileFormats report={report} />
      <Figures figures={figuresOf(report)} />
      <div className={style.reportParts}>
        <Preview report={report} />
        <Lengths tokens={report.tokens} />
      </div>
      <Warnings report={report} />
      <BadRows report={report} />
    </div>
  );
}

function FileFormats({ report: { files } }: { report: DatasetReport }) {
  return (
    <ul className={style.formats}>
      {files.map(({ path, kind, format: name, map, why, confidence, bytes }) => (
        <li key={path} title={path}>
          <strong>{fileName(path)}</strong>: {format.bytes(bytes)} of {kind}, read as <strong>{name}</strong>
          {confidence === null ? '' : `, ${format.percent(confidence)} sure`}. {sentence(why)}
          {Object.entries(map).map(([field, column]) => (
            <code key={field}>
              {field}={column}
            </code>
          ))}
        </li>
      ))}
    </ul>
  );
}

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function figuresOf({ rows, good, bad, duplicates, split, tokens }: DatasetReport) {
  const share = tokens && tokens.total > 0 ? tokens.supervised / tokens.total : 0;
  return [
    { label: 'rows', value: format.count(rows), title: format.exact(rows) },
    { label: 'examples', value: format.count(good), title: format.exact(good) },
    { label: 'bad rows', value: format.count(bad), title: `${format.exact(bad)} rows are left out; the reasons are below` },
    {
      label: 'repeated',
      value: `${format.count(duplicates.count)}${duplicates.incomplete ? '+' : ''}`,
      title: `Examples that are equal to an earlier one; they are on the same side of the split.${duplicates.incomplete ? ` ${REPETITIONS_NOT_SOUGHT}` : ''}`,
    },
    { label: 'for training', value: format.count(split.train), title: `${format.exact(split.train)} examples` },
    { label: 'for validation', value: format.count(split.validation), title: `share ${split.share}, seed ${split.seed}` },
    ...(tokens
      ? [
          { label: 'tokens', value: format.count(tokens.total), title: format.exact(tokens.total) },
          { label: 'of them learnt', value: format.percent(share), title: `${format.exact(tokens.supervised)} tokens` },
        ]
      : []),
  ];
}

function Lengths({ tokens }: Pick<DatasetReport, 'tokens'>) {
  if (!tokens || tokens.lengths.count === 0) return null;
  const { lengths, overContext, context } = tokens;
  const bars = lengths.bars.slice(lengths.bars.findIndex(({ count }) => count > 0));
  const most = Math.max(...bars.map(({ count }) => count));
  const summary = `Half have at most ${lengths.p50} tokens, 90% ${lengths.p90}, 99% ${lengths.p99}, the longest ${lengths.max}.`;
  return (
    <figure className={style.lengths}>
      <figcaption>Tokens of an example</figcaption>
      <ol className={style.bars} aria-label={`Tokens of an example. ${summary}`}>
        {bars.map(({ from, to, count }) => (
          <li key={from} title={`${from} to ${to} tokens: ${format.exact(count)} examples`}>
            <span className={style.barRange}>
              {from}–{to}
            </span>
            <span aria-hidden className={style.bar}>
              <span style={{ width: `${(count / most) * 100}%` }} />
            </span>
            <span className={style.barCount}>{format.count(count)}</span>
          </li>
        ))}
      </ol>
      <p className={style.note}>
        {summary} {overContext > 0 && `${format.exact(overContext)} are longer than the model’s context of ${format.exact(context)}.`}
      </p>
    </figure>
  );
}

function Warnings({ report: { warnings, files } }: { report: DatasetReport }) {
  if (warnings.length === 0) return null;
  return (
    <Notice tone="warn" title="Used, but worth a look">
      <ul>
        {warnings.map(({ warning, text, count, first }) => (
          <li key={warning}>
            {format.exact(count)} × {text} (first: {placeText(files, first)})
          </li>
        ))}
      </ul>
    </Notice>
  );
}

interface BadRowLine {
  id: string;
  place: string;
  reason: string;
  detail: string;
}

const badColumns: Column<BadRowLine>[] = [
  { id: 'place', header: 'Row', cell: (row) => row.place, sort: (row) => row.place, width: '26%' },
  { id: 'reason', header: 'What is wrong', cell: (row) => row.reason, sort: (row) => row.reason, width: '34%' },
  { id: 'detail', header: 'Detail', cell: (row) => row.detail },
];

function BadRows({ report: { bad, badRows, files, rows } }: { report: DatasetReport }) {
  if (bad === 0) return null;
  const texts = new Map(badRows.reasons.map(({ reason, text }) => [reason, text]));
  const lines = badRows.listed.map((row) => {
    const place = placeText(files, row);
    return { id: `${row.file} ${row.place} ${row.reason}`, place, reason: texts.get(row.reason) ?? row.reason, detail: row.detail };
  });
  const more = bad - lines.length;
  return (
    <div>
      <h3 className={style.badTitle}>
        {format.exact(bad)} of {format.exact(rows)} rows are left out
      </h3>
      <p className={style.note}>{badRows.reasons.map(({ text, count }) => `${format.exact(count)} × ${text}`).join('; ')}.</p>
      <Table className={style.badRows} caption="Rows that are left out" columns={badColumns} rows={lines} rowKey={(row) => row.id} />
      {more > 0 && <p className={style.note}>And {format.exact(more)} more; “moebius dataset --bad-rows” writes all of them.</p>}
    </div>
  );
}
