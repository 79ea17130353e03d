import type { Command } from 'commander';
import { withEngine } from './engine-session.ts';
import { collect } from './options.ts';
import { formatBytes, formatTable, print, printJson } from './output.ts';

export function addDevicesCommand(program: Command): void {
  program
    .command('devices')
    .description('what can run a model here: CPU and GPUs, with their memory')
    .option('--remote <host:port>', 'also those of a machine that runs "moebius rpc-server" (may be given several times)', collect)
    .option('--json', 'one JSON object')
    .action(async (flags: { remote?: string[]; json?: boolean }) => {
      const result = await withEngine(async (engine) => {
        for (const endpoint of flags.remote ?? []) await engine.call('devices.addRemote', { endpoint });
        return { ...(await engine.call('devices.list', {})), llamaVersion: engine.status.llamaVersion, backends: engine.status.backends };
      });
      if (flags.json) return printJson(result);
      const rows = result.devices.map((device) => [
        device.id,
        device.kind,
        device.backend,
        formatBytes(device.memoryFree),
        formatBytes(device.memoryTotal),
        device.description,
      ]);
      print(formatTable([['device', 'kind', 'backend', 'free', 'total', 'description'], ...rows]));
    });
}
