// Waiting for the engine.
import { MoebiusError } from '../../contract/index.ts';
import type { Engine } from '../../engine/engine.ts';
import { abortReason, errorCode } from '../concurrency.ts';

/** Whether `error` means that the engine's process went away, and not that it refused. */
export function isEngineLoss(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'engine.died' || code === 'engine.starting' || code === 'engine.unresponsive';
}

/** `after` for `engineReady` when `error` says that the process is gone for good. */
export function endedProcess(error: unknown, processId: number | null): { processId: number | null } | undefined {
  return errorCode(error) === 'engine.died' ? { processId } : undefined;
}

/** Whether the process that gave a handle still has it. */
export function isSameProcess(engine: Engine, processId: number | null): boolean {
  const { state } = engine.status;
  return (state === 'ready' || state === 'unresponsive') && engine.status.processId === processId;
}

/**
 * The id of the engine's process as soon as it takes calls. With `after`, a process other than that one, which is known to have ended.
 * Rejects with the engine's own error (engine.crash-loop) when it has given up, and when `signal` aborts.
 */
export function engineReady(engine: Engine, signal?: AbortSignal, after?: { processId: number | null }): Promise<number | null> {
  return new Promise((resolve, reject) => {
    let unsubscribe: (() => void) | null = null;
    let finished = false;
    const finish = (settle: () => void) => {
      finished = true;
      unsubscribe?.();
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = () => finish(() => reject(signal ? abortReason(signal) : undefined));
    const look = () => {
      const { state, processId, error } = engine.status;
      if (state === 'ready' && !(after && after.processId === processId)) return finish(() => resolve(processId));
      if (state !== 'stopped' || error === null) return; // stopped without an error: not started yet
      finish(() => reject(new MoebiusError(error.code, error.message, { details: error.details })));
    };
    if (signal?.aborted) return onAbort();
    look();
    if (finished) return;
    unsubscribe = engine.onStatus(look);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
