import type { ExpertStore } from '../../../main/contract/index.ts';
import { type Column, format, Table } from '../../components/index.ts';
import { hitRateOf } from './placement-history.ts';

type Layer = ExpertStore['layers'][number];

const columns: Column<Layer>[] = [
  { id: 'layer', header: 'Layer', cell: (row) => row.layer, sort: (row) => row.layer, align: 'right' },
  { id: 'slots', header: 'Slots', cell: (row) => row.slots, sort: (row) => row.slots, align: 'right' },
  { id: 'hits', header: 'Hits', cell: (row) => rateText(row), sort: (row) => hitRateOf(row) ?? 0, align: 'right' },
  { id: 'late', header: 'On their way', cell: (row) => <Count value={row.late} />, sort: (row) => row.late, align: 'right' },
  { id: 'misses', header: 'Misses', cell: (row) => <Count value={row.misses} />, sort: (row) => row.misses, align: 'right' },
  { id: 'waited', header: 'Waited', cell: (row) => format.duration(row.stalledMilliseconds), sort: (row) => row.stalledMilliseconds, align: 'right' },
];

function rateText(row: Layer): string {
  const rate = hitRateOf(row);
  return rate === null ? '–' : format.percent(rate);
}

const Count = ({ value }: { value: number }) => <span title={format.exact(value)}>{format.count(value)}</span>;

export function LayerTable({ layers }: { layers: readonly Layer[] }) {
  return <Table caption="Uses of experts by layer" columns={columns} rows={layers} rowKey={(row) => String(row.layer)} />;
}
