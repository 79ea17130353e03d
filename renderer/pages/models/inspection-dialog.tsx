// Everything inspect knows of a file.
import type { Inspection } from '../../../main/contract/index.ts';
import { type Column, Dialog, format, Table } from '../../components/index.ts';
import style from './models.module.css';

type ClassRow = Inspection['quantisation'][number];

const columns: Column<ClassRow>[] = [
  { id: 'class', header: 'Tensors', cell: (row) => row.tensorClass, sort: (row) => row.tensorClass },
  { id: 'count', header: 'Count', cell: (row) => row.tensorCount, sort: (row) => row.tensorCount, align: 'right' },
  {
    id: 'parameters',
    header: 'Parameters',
    cell: (row) => <span title={format.exact(row.parameterCount)}>{format.count(row.parameterCount)}</span>,
    sort: (row) => row.parameterCount,
    align: 'right',
  },
  {
    id: 'bytes',
    header: 'Size',
    cell: (row) => <span title={format.exact(row.bytes)}>{format.bytes(row.bytes)}</span>,
    sort: (row) => row.bytes,
    align: 'right',
  },
  { id: 'types', header: 'Types', cell: (row) => row.types.map((one) => one.type).join(', ') },
];

const metadataColumns: Column<[string, string | number | boolean]>[] = [
  { id: 'key', header: 'Key', cell: ([key]) => <code>{key}</code>, sort: ([key]) => key },
  { id: 'value', header: 'Value', cell: ([, value]) => <span className={style.value}>{String(value)}</span> },
];

export function InspectionDialog({ inspection, open, onOpenChange }: { inspection: Inspection; open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title={inspection.name} width="large" description={inspection.path}>
      <Table caption="Tensors by class" columns={columns} rows={inspection.quantisation} rowKey={(row) => row.tensorClass} />
      {inspection.chatTemplate && (
        <details className={style.details}>
          <summary>Chat template</summary>
          <pre>{inspection.chatTemplate}</pre>
        </details>
      )}
      <details className={style.details}>
        <summary>Metadata ({Object.keys(inspection.metadata).length} entries)</summary>
        <Table caption="Metadata of the file" columns={metadataColumns} rows={Object.entries(inspection.metadata)} rowKey={([key]) => key} />
      </details>
    </Dialog>
  );
}
