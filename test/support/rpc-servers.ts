// Other machines for tests: moebius-rpc-servers on free loopback ports, each a GPU-type device at the CPU's speed.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { engineEnvironment, locateEngine, locateRpcServer } from '../../main/engine/locate.ts';

export class RpcServer {
  readonly #process: ChildProcess;
  /** host:port */
  readonly endpoint: string;

  constructor(process: ChildProcess, endpoint: string) {
    this.#process = process;
    this.endpoint = endpoint;
  }

  /** The id of its device once it is added to an engine. */
  get device(): string {
    return `RPC0@${this.endpoint}`;
  }

  /** As a machine that lost its power. Idempotent. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  /** As a machine that hangs. */
  pause(): void {
    this.#process.kill('SIGSTOP');
  }
}

export interface RpcServers extends AsyncDisposable {
  readonly servers: RpcServer[];
}

/** `memory`: bytes that each lends at most. `port`: of the first, default any. They are killed when this is disposed. */
export async function startRpcServers(count: number, { memory, port = 0 }: { memory?: number; port?: number } = {}): Promise<RpcServers> {
  const servers: RpcServer[] = [];
  const dispose = async () => void (await Promise.all(servers.map((server) => server.kill())));
  try {
    for (let i = 0; i < count; i++) servers.push(await startOne(i === 0 ? port : 0, memory));
  } catch (error) {
    await dispose();
    throw error;
  }
  return { servers, [Symbol.asyncDispose]: dispose };
}

async function startOne(port: number, memory: number | undefined): Promise<RpcServer> {
  const location = locateEngine();
  const flags = ['--port', String(port), '--threads', '1', '--device', 'CPU', ...(memory === undefined ? [] : ['--memory', String(memory)])];
  const child = spawn(locateRpcServer(location), flags, { stdio: ['ignore', 'pipe', 'ignore'], env: engineEnvironment(location) });
  for await (const line of createInterface({ input: child.stdout })) {
    const listening = /^Listening on (\S+)$/.exec(line);
    if (listening?.[1] === undefined) continue;
    child.stdout.resume(); // a full pipe would stop it
    return new RpcServer(child, listening[1]);
  }
  throw new Error('moebius-rpc-server ended before it listened.');
}
