// The grid's numbers as a table: one layer at a time, every expert a row.
import { useState } from 'react';
import { type Column, format, Select, Table } from '../../components/index.ts';
import type { LiveUsage } from '../../experts/live-usage.ts';
import style from './experts.module.css';

interface ExpertRow {
  expert: number;
  value: number;
  share: number;
  total: number;
}

const columns: Column<ExpertRow>[] = [
  { id: 'expert', header: 'Expert', cell: (row) => row.expert, sort: (row) => row.expert, align: 'right' },
  {
    id: 'value',
    header: 'Current load',
    cell: (row) => <span title={String(row.value)}>{row.value.toFixed(2)}</span>,
    sort: (row) => row.value,
    align: 'right',
  },
  { id: 'share', header: 'Share of the layer', cell: (row) => `${(row.share * 100).toFixed(1)}%`, sort: (row) => row.share, align: 'right' },
  { id: 'total', header: 'Tokens in all', cell: (row) => format.exact(row.total), sort: (row) => row.total, align: 'right' },
];

/** `version` changes when the counters did. */
export function UsageTable({ caption, usage, moeLayers }: { caption: string; usage: LiveUsage; moeLayers: readonly number[]; version: number }) {
  const [layer, setLayer] = useState('0');
  const row = Number(layer) * usage.expertCount;
  const values = Array.from(usage.values.subarray(row, row + usage.expertCount));
  const sum = values.reduce((total, value) => total + value, 0);
  const rows = values.map((value, expert) => ({ expert, value, share: sum > 0 ? value / sum : 0, total: usage.totals[row + expert] ?? 0 }));
  const layers = Array.from({ length: usage.layerCount }, (_, index) => ({ value: String(index), label: `layer ${moeLayers[index] ?? index}` }));
  return (
    <div className={style.table}>
      <div className={style.controls}>
        <Select aria-label="Layer of the table" value={layer} onChange={setLayer} options={layers} />
        <span className={style.waiting}>{format.exact(usage.tokens)} tokens counted in all</span>
      </div>
      <Table caption={`${caption}, layer ${moeLayers[Number(layer)] ?? layer}`} columns={columns} rows={rows} rowKey={(one) => String(one.expert)} />
    </div>
  );
}
