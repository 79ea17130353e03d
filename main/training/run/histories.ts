// Histories of runs, read from their folders and kept, so that only what is new is read again.
import { open } from 'node:fs/promises';
import { RunEvent } from '../../contract/index.ts';
import { SerialQueue } from '../../library/concurrency.ts';
import { runFiles } from './run-folder.ts';
import { RunHistory } from './run-history.ts';

const PIECE_BYTES = 1 << 20;

interface Read {
  history: RunHistory;
  /** bytes of whole lines */
  bytes: number;
  serial: SerialQueue;
}

export class Histories {
  readonly #read = new Map<string, Read>();

  /** All that is written down by now. Nothing, if there is no such file. */
  of(folder: string): Promise<RunHistory> {
    const read = this.#read.get(folder) ?? { history: new RunHistory(), bytes: 0, serial: new SerialQueue() };
    this.#read.set(folder, read);
    return read.serial.run(async () => {
      await readOn(runFiles(folder).metrics, read);
      return read.history;
    });
  }

  forget(folder: string): void {
    this.#read.delete(folder);
  }
}

/** A line that is not whole yet waits for the next time. */
async function readOn(path: string, read: Read): Promise<void> {
  const file = await open(path).catch(() => null);
  if (file === null) return;
  try {
    let rest = Buffer.alloc(0);
    for (;;) {
      const piece = Buffer.alloc(PIECE_BYTES);
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, read.bytes + rest.length);
      const text = Buffer.concat([rest, piece.subarray(0, bytesRead)]);
      const end = text.lastIndexOf('\n') + 1;
      for (const line of text.toString('utf8', 0, end).split('\n')) addLine(read.history, line);
      read.bytes += end;
      rest = Buffer.from(text.subarray(end));
      if (bytesRead === 0) return;
    }
  } finally {
    await file.close();
  }
}

/** A killed process may have left half a line, behind which the next life went on writing: it is no event. */
function addLine(history: RunHistory, line: string): void {
  if (line === '') return;
  try {
    const event = RunEvent.safeParse(JSON.parse(line));
    if (event.success) history.add(event.data);
  } catch {
    // no JSON
  }
}
