// An engine process for one piece of work: it begins with it and ends with it, and takes nobody else with it when it dies.
import type { Engine } from './engine.ts';
import { EngineSupervisor, type SupervisorOptions } from './supervisor.ts';

/**
 * Gives the work an engine that is ready, and ends that whatever happens. Rejects as `Engine.call`, and as the work does.
 * `environment` is what this work wants unless the user's environment says otherwise.
 */
export type WithEngine = <T>(work: (engine: Engine) => Promise<T>, environment?: Record<string, string>) => Promise<T>;

export function engineOfItsOwn(options: SupervisorOptions): WithEngine {
  return async (work, environment) => {
    const engine = new EngineSupervisor({ ...options, environment: { ...environment, ...(options.environment ?? process.env) } });
    try {
      await engine.start();
      return await work(engine);
    } finally {
      await engine.dispose();
    }
  };
}
