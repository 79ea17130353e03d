// Lends this machine's devices to Moebius on other machines.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { MoebiusError } from '../contract/index.ts';
import { engineEnvironment, locateEngine, locateRpcServer } from '../engine/locate.ts';
import { collect, UsageError, wholeNumber } from './options.ts';
import { note, print, printJson } from './output.ts';

interface RpcServerFlags {
  host: string;
  port: number;
  threads?: number;
  memory?: number;
  device?: string[];
  json?: boolean;
}

export function addRpcServerCommand(program: Command): void {
  program
    .command('rpc-server')
    .description('lend the devices of this machine to others: no password, no encryption, for networks that you trust')
    .option('--host <address>', 'IPv4 address to listen on; 0.0.0.0: every network', '127.0.0.1')
    .option('--port <port>', '0: any free one', wholeNumber, 50052)
    .option('--threads <n>', 'CPU threads (default: half of them)', wholeNumber)
    .option('--memory <bytes>', 'lend no more than this, over all devices', wholeNumber)
    .option('--device <id>', 'as "moebius devices" names it (may be given several times; default: the GPUs, or the CPU)', collect)
    .option('--json', 'announce the address as a JSON line')
    .action(serve);
}

async function serve(flags: RpcServerFlags): Promise<void> {
  if (flags.port < 0 || flags.port > 65535) throw new UsageError(`--port ${flags.port}: ports are 0 to 65535.`);
  const location = locateEngine();
  const child = spawn(locateRpcServer(location), toArguments(flags), { stdio: ['ignore', 'pipe', 'pipe'], env: engineEnvironment(location) });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => child.kill());
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  let complaint = '';
  createInterface({ input: child.stderr }).on('line', (line) => {
    complaint = line;
    if (line.startsWith('WARNING') || process.env.MOEBIUS_LOG) note(line);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const listening = /^Listening on (\S+)$/.exec(line)?.[1];
    if (listening === undefined) {
      if (process.env.MOEBIUS_LOG) note(line);
    } else if (flags.json) printJson({ what: 'rpc', endpoint: listening });
    else print(`This machine's devices are lent at ${listening} (Ctrl+C ends). On the other one: moebius devices --remote HOST:${listening.split(':')[1]}`);
  });
  const { code, signal } = await ended;
  if (code === 2) throw new UsageError(complaint);
  if (code !== 0 && signal !== 'SIGTERM') throw new MoebiusError('internal', complaint || `moebius-rpc-server ended with ${code ?? signal}.`);
}

function toArguments(flags: RpcServerFlags): string[] {
  const one = (name: string, value: string | number | undefined) => (value === undefined ? [] : [name, String(value)]);
  return [
    ...one('--host', flags.host),
    ...one('--port', flags.port),
    ...one('--threads', flags.threads),
    ...one('--memory', flags.memory),
    ...(flags.device ?? []).flatMap((id) => one('--device', id)),
  ];
}
