#!/usr/bin/env node
// The `moebius` command. Runs the TypeScript sources directly, which needs Node 24 or newer: an older one hands over to the packaged one.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const OLDEST_NODE = 24;

if (Number(process.versions.node.split('.')[0]) >= OLDEST_NODE) {
  const { main } = await import('./main.ts');
  await main(process.argv.slice(2));
} else {
  const packaged = fileURLToPath(new URL(`../../node_modules/node/bin/node${process.platform === 'win32' ? '.exe' : ''}`, import.meta.url));
  if (!existsSync(packaged)) {
    process.stderr.write(
      `${JSON.stringify({ code: 'internal', message: `Node ${OLDEST_NODE} or newer is needed and this is ${process.version}. Run "npm start" once: it installs one.` })}\n`,
    );
    process.exit(1);
  }
  const child = spawn(packaged, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
}
