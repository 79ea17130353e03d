// Per-layer balance figures.
import type { LayerBalance } from '../../../main/contract/experts-balance.ts';
import { type Column, format, Table } from '../../components/index.ts';

const figure = (value: number | null, digits = 2) => (value === null ? '–' : <span title={String(value)}>{value.toFixed(digits)}</span>);

function columns(expertCount: number): Column<LayerBalance>[] {
  return [
    { id: 'layer', header: 'Layer', cell: (row) => row.layer, sort: (row) => row.layer, align: 'right' },
    { id: 'max', header: 'Max / mean', cell: (row) => figure(row.maximumOverMean), sort: (row) => row.maximumOverMean ?? 0, align: 'right' },
    {
      id: 'cv',
      header: 'Coeff. of variation',
      cell: (row) => figure(row.coefficientOfVariation),
      sort: (row) => row.coefficientOfVariation ?? 0,
      align: 'right',
    },
    {
      id: 'entropy',
      header: `Entropy, bits of ${Math.log2(expertCount).toFixed(2)}`,
      cell: (row) => figure(row.entropyBits),
      sort: (row) => row.entropyBits ?? 0,
      align: 'right',
    },
    {
      id: 'dead',
      header: 'Dead experts',
      cell: (row) => <span title={row.deadExperts.join(', ') || undefined}>{row.total === 0 ? '–' : row.deadExperts.length}</span>,
      sort: (row) => row.deadExperts.length,
      align: 'right',
    },
  ];
}

export function BalanceTable({ rows, expertCount }: { rows: readonly LayerBalance[]; expertCount: number }) {
  return (
    <Table
      caption="Balance of every layer"
      columns={columns(expertCount)}
      rows={rows}
      rowKey={(row) => String(row.layer)}
      empty={`No layer has counted anything (${format.count(expertCount)} experts).`}
    />
  );
}
