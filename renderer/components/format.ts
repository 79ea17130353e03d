// Numbers as the UI shows them: SI units, at most three significant digits; full precision belongs in a title.

const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function threeDigits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toString();
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `1536` -> `1.50 KiB` */
export function bytes(value: number): string {
  let unit = 0;
  let size = value;
  while (Math.abs(size) >= 1023.5 && unit < binaryUnits.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${threeDigits(size)} ${binaryUnits[unit] ?? 'B'}`;
}

/** Counts with k, M, B (as parameters of models are counted), T: `27_132_416` -> `27.1M` */
export function count(value: number): string {
  const steps: [number, string][] = [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  for (const [step, unit] of steps) if (Math.abs(value) >= step) return threeDigits(value / step) + unit;
  return threeDigits(value);
}

/** All digits, grouped: `27,132,416` */
export function exact(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 6 });
}

export function percent(fraction: number): string {
  return `${threeDigits(Math.round(fraction * 1000) / 10)}%`;
}

export function rate(perSecond: number): string {
  return `${threeDigits(perSecond)} tok/s`;
}

/** `950` -> `950 ms`, `2400` -> `2.40 s`, `75000` -> `1 min 15 s` */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${threeDigits(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${threeDigits(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long ago, coarsely: `now`, `5 min`, `3 h`, `2 d`, then a date. `time` and `now` in ms since 1970. */
export function ago(time: number, now = Date.now()): string {
  const minutes = Math.floor((now - time) / 60_000);
  if (minutes < 1) return 'now';
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  if (minutes < 7 * 24 * 60) return `${Math.floor(minutes / 1440)} d`;
  return new Date(time).toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' });
}
