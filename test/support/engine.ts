// The real engine for integration tests. MOEBIUS_ENGINE names another executable than native/build's.
import { fileURLToPath } from 'node:url';
import { engineEnvironment, locateEngine } from '../../main/engine/locate.ts';
import type { Logger } from '../../main/engine/log.ts';
import { EngineSupervisor, type SupervisorTiming } from '../../main/engine/supervisor.ts';

/** The embedded model: 4 MoE layers, a context of 512 tokens. */
export const tinyModel = fileURLToPath(new URL('../../resources/models/tiny-moe.gguf', import.meta.url));

/** A started engine; dispose it. Throws when it is not built ("run npm run build:native"). `environment` is added to this process's. */
export async function startEngine(
  options: { environment?: Record<string, string>; timing?: Partial<SupervisorTiming>; logger?: Logger } = {},
): Promise<EngineSupervisor> {
  const { environment, ...rest } = options;
  const location = locateEngine();
  const base = { ...process.env, ...environment };
  const supervisor = new EngineSupervisor({
    command: location.executable,
    environment: engineEnvironment(location, base),
    llamaVersion: location.llamaVersion,
    ...rest,
  });
  await supervisor.start();
  return supervisor;
}
