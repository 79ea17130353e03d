// The built user interface (dist/renderer) and the built shell (dist/electron).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findNode, nodeModules, root, toolEnvironment } from './paths.mjs';
import { run } from './process.mjs';
import { fingerprint, readStamp, SetupError, writeStamp } from './steps.mjs';

/**
 * @param {{ name: string, what: string, sources: string[], output: string, command: () => string[] }} bundle `command`: parameters of node
 * @returns {import('./steps.mjs').Step}
 */
function bundleStep({ name, what, sources, output, command }) {
  const current = () => fingerprint([...sources, 'package.json', 'package-lock.json']);
  return {
    name,
    what,
    isDone: () => existsSync(join(root, output)) && readStamp(name) === current(),
    async perform() {
      const before = current();
      const node = findNode();
      if (!node) throw new SetupError('No Node that is new enough: run "npm start" to install one.');
      const { code } = await run(node, command(), { cwd: root, env: toolEnvironment({ NODE_ENV: 'production' }), outputToStderr: true });
      if (code !== 0) throw new SetupError(`Building ${name} failed (exit code ${code}); its messages are above.`);
      writeStamp(name, before);
    },
  };
}

const vite = join(nodeModules, 'vite', 'bin', 'vite.js');

export const rendererStep = bundleStep({
  name: 'renderer',
  what: 'building the user interface',
  sources: ['renderer', 'main/contract', 'main/engine/protocol.ts'],
  output: 'dist/renderer/index.html',
  command: () => [vite, 'build', '--config', join('renderer', 'vite.config.ts'), '--logLevel', 'warn'],
});

export const shellStep = bundleStep({
  name: 'shell',
  what: 'building the desktop shell',
  sources: ['electron', 'main'],
  output: 'dist/electron/main.js',
  command: () => [join('electron', 'build.ts')],
});
