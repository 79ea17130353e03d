// stdout is for results, stderr for everything else. Sizes and numbers for people.
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function print(text = ''): void {
  process.stdout.write(`${text}\n`);
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Notes each tenth of a long work, behind its name if it has one. */
export function everyTenth(name = ''): (progress: { fraction: number }) => void {
  let told = 0;
  return ({ fraction }) => {
    const tenths = Math.floor(fraction * 10);
    if (tenths > told) note(`${name}${tenths * 10}%`);
    told = Math.max(told, tenths);
  };
}

/** Notes each tenth of what takes longer than this. */
export function tenthsAfter(milliseconds: number, name = ''): (progress: { fraction: number }) => void {
  const begin = performance.now();
  const tell = everyTenth(name);
  return (progress) => {
    if (performance.now() - begin > milliseconds) tell(progress);
  };
}

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** 28957632 -> `27.6 MiB` */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(BINARY_UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${significant(bytes / 1024 ** power)} ${BINARY_UNITS[power]}`;
}

const SI_UNITS = ['', 'k', 'M', 'G', 'T'];

/** 26975488 -> `27.0 M` */
export function formatCount(count: number): string {
  const power = count < 1 ? 0 : Math.min(SI_UNITS.length - 1, Math.floor(Math.log10(count) / 3));
  return power === 0 ? String(count) : `${significant(count / 1000 ** power)} ${SI_UNITS[power]}`;
}

/** three significant digits */
export function significant(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
}

/** Columns padded to their widest cell; the first row is the header. */
export function formatTable(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) => row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  ')).join('\n');
}
