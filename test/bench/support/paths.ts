// Where benchmarks keep what they build once: it goes away with node_modules.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, root } from '../../../main/setup/paths.mjs';

export const tinyModel = join(root, 'resources/models/tiny-moe.gguf');
export const moebiusCommand = join(root, 'main/cli/moebius.mjs');

export function benchFolder(): string {
  const folder = join(cacheFolder, 'bench');
  mkdirSync(folder, { recursive: true });
  return folder;
}
