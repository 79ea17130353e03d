// Long commands end in order whoever ends them: the user, the system, or the reader of what they write (`moebius train --json | head`).
import { MoebiusError } from '../contract/index.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `work` hears of the first signal, and that nobody reads stdout any more, as `cancelled` with this message; a second signal of a kind ends the process at once. */
export async function interruptible<T>(message: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const end = () => stop.abort(new MoebiusError('cancelled', message));
  for (const name of SIGNALS) process.once(name, end);
  process.stdout.on('error', end); // stays: what is still in its buffer fails later
  try {
    return await work(stop.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, end);
  }
}
