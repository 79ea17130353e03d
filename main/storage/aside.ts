import { copyFileSync, existsSync, renameSync, rmSync, statSync } from 'node:fs';

/**
 * Renames a damaged database, with its write-ahead log, to `<path>.corrupt-<UTC time>` and returns that name.
 * `close` closes the connection: SQLite may drop the log then, so it is copied before; at no moment is there a database without its log.
 */
export function setAside(path: string, close: () => void): string {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+Z$/g, '');
  const kept = freeName(`${path}.corrupt-${time}`);
  if (hasContent(`${path}-wal`)) copyFileSync(`${path}-wal`, `${kept}-wal`);
  close();
  renameSync(path, kept);
  // copied, or derived from it
  rmSync(`${path}-wal`, { force: true });
  rmSync(`${path}-shm`, { force: true });
  return kept;
}

function hasContent(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

function freeName(wanted: string): string {
  let name = wanted;
  for (let suffix = 2; existsSync(name); suffix++) name = `${wanted}-${suffix}`;
  return name;
}
