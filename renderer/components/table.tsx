import { ArrowDown, ArrowUp } from 'lucide-react';
import type { ReactNode } from 'react';
import { useMemo, useState } from 'react';
import { classes } from './classes.ts';
import style from './table.module.css';

export interface Column<Row> {
  id: string;
  header: string;
  cell: (row: Row) => ReactNode;
  /** makes the column sortable */
  sort?: (row: Row) => number | string;
  align?: 'left' | 'right';
  /** CSS width */
  width?: string;
}

export interface TableProps<Row> {
  /** the accessible name */
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  /** shown in place of rows when there are none */
  empty?: ReactNode;
  className?: string | undefined;
}

/** A plain table, sortable by header. For more than about 500 rows page them first. */
export function Table<Row>({ caption, columns, rows, rowKey, empty, className }: TableProps<Row>) {
  const [order, setOrder] = useState<{ id: string; down: boolean } | null>(null);
  const sorted = useMemo(() => sortRows(rows, columns, order), [rows, columns, order]);
  return (
    // Focusable, so that it scrolls by keyboard.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
    <section className={classes(style.scroll, className)} aria-label={caption} tabIndex={0}>
      <table className={style.table}>
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <HeaderCell key={column.id} column={column} order={order} setOrder={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((column) => (
                <td key={column.id} className={column.align === 'right' ? style.right : undefined}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {rows.length === 0 && (
            <tr>
              <td colSpan={columns.length} className={style.none}>
                {empty ?? 'Nothing here.'}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </section>
  );
}

interface HeaderCellProps<Row> {
  column: Column<Row>;
  order: { id: string; down: boolean } | null;
  setOrder: (order: { id: string; down: boolean } | null) => void;
}

function HeaderCell<Row>({ column, order, setOrder }: HeaderCellProps<Row>) {
  const active = order?.id === column.id ? order : null;
  const next = active ? (active.down ? { id: column.id, down: false } : null) : { id: column.id, down: true };
  const Arrow = active?.down ? ArrowDown : ArrowUp;
  return (
    <th
      scope="col"
      className={column.align === 'right' ? style.right : undefined}
      style={{ width: column.width }}
      aria-sort={active ? (active.down ? 'descending' : 'ascending') : undefined}
    >
      {column.sort ? (
        <button type="button" className={style.sort} onClick={() => setOrder(next)}>
          {column.header}
          {active && <Arrow size={12} aria-hidden />}
        </button>
      ) : (
        column.header
      )}
    </th>
  );
}

function sortRows<Row>(rows: readonly Row[], columns: readonly Column<Row>[], order: { id: string; down: boolean } | null): readonly Row[] {
  const key = columns.find((column) => column.id === order?.id)?.sort;
  if (!key || !order) return rows;
  const sign = order.down ? -1 : 1;
  return [...rows].sort((a, b) => sign * compare(key(a), key(b)));
}

function compare(a: number | string, b: number | string): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}
