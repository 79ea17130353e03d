// `npm run NAME -- PARAMETERS`: sets up what the task needs, quietly where that is done, then runs it. stdout belongs to the task.
import { mkdirSync } from 'node:fs';
import { findNode, resultsFolder, root, toolEnvironment } from './paths.mjs';
import { run } from './process.mjs';
import { performSteps, SetupError, say } from './steps.mjs';
import { tasks } from './tasks.mjs';

/**
 * @param {string} name
 * @param {string[]} parameters are given to the task's last command
 * @returns {Promise<number>} exit code
 */
async function runTask(name, parameters) {
  const task = tasks[name];
  if (!task) throw new SetupError(`There is no task "${name}". Tasks: ${Object.keys(tasks).join(', ')}.`);
  await performSteps(task.needs, { quiet: true });
  mkdirSync(resultsFolder, { recursive: true });
  let exitCode = 0;
  for (const [index, command] of task.commands.entries()) {
    const isLast = index === task.commands.length - 1;
    const program = command.command === 'node' ? (findNode() ?? process.execPath) : command.command;
    const { code } = await run(program, [...command.parameters, ...(isLast ? parameters : [])], {
      cwd: command.fromUser ? (process.env.INIT_CWD ?? process.cwd()) : root,
      env: toolEnvironment(command.environment),
      keepStdin: command.fromUser ?? false,
    });
    exitCode ||= code;
  }
  return exitCode;
}

try {
  process.exitCode = await runTask(process.argv[2] ?? '', process.argv.slice(3));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(`[setup] ${error.message}`);
  process.exitCode = 1;
}
