// Parses the command line and turns every outcome into an exit code: 0 ok, 1 failure, 2 bad usage. Errors are one JSON object on stderr.
import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { type ErrorBody, toErrorBody } from '../contract/index.ts';
import { addBenchCommand } from './bench.ts';
import { addCalibrateCommand } from './calibrate.ts';
import { addChatCommand } from './chat.ts';
import { addDatasetCommand } from './dataset.ts';
import { addDevicesCommand } from './devices.ts';
import { addEvalCommand } from './eval.ts';
import { addGenerateCommand } from './generate.ts';
import { addInspectCommand } from './inspect.ts';
import { addLayoutCommand } from './layout.ts';
import { UsageError } from './options.ts';
import { addPlanCommand } from './plan.ts';
import { addRpcServerCommand } from './rpc-server.ts';
import { addServeCommand } from './serve.ts';
import { addSimulateCommand } from './simulate.ts';
import { addTraceCommand } from './trace.ts';
import { addTrainCommands } from './train.ts';

function createProgram(): Command {
  const program = new Command('moebius')
    .description('A workstation for Mixture-of-Experts language models.')
    .version(packageJson.version)
    .exitOverride()
    .configureOutput({ writeErr: () => {} }); // commander's own messages become the JSON object below
  const commands = [
    addInspectCommand,
    addPlanCommand,
    addDevicesCommand,
    addGenerateCommand,
    addChatCommand,
    addServeCommand,
    addRpcServerCommand,
    addTraceCommand,
    addSimulateCommand,
    addLayoutCommand,
    addCalibrateCommand,
    addDatasetCommand,
    addTrainCommands,
    addEvalCommand,
    addBenchCommand,
  ];
  for (const add of commands) add(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => {} });
  return program;
}

/** Runs the command; resolves when it is done, with `process.exitCode` set. */
export async function main(args: string[]): Promise<void> {
  const program = createProgram();
  try {
    if (args.length === 0) program.help();
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    process.exitCode = report(error);
  }
}

const isHelp = (error: CommanderError) => error.exitCode === 0;

function report(error: unknown): number {
  if (error instanceof CommanderError && isHelp(error)) return 0;
  const usage = error instanceof CommanderError || error instanceof UsageError;
  const body: ErrorBody = usage ? { code: 'request.invalid', message: error.message.replace(/^error: /, '') } : toErrorBody(error);
  process.stderr.write(
    `${JSON.stringify({ code: body.code, message: body.message, ...(body.details && Object.keys(body.details).length > 0 ? { details: body.details } : {}) })}\n`,
  );
  return usage ? 2 : 1;
}
