// `npm test`: setup, then every stage, all of them even if one fails. The last line is `N passed, N failed, N skipped`.
import { mkdirSync, rmSync } from 'node:fs';
import { findNode, resultsFolder, root, toolEnvironment } from './paths.mjs';
import { run } from './process.mjs';
import { countReport, countsLine, sumCounts } from './report.mjs';
import { performSteps, SetupError, say } from './steps.mjs';
import { tasks, testStages } from './tasks.mjs';

/** @typedef {{ name: string, counts: import('./report.mjs').Counts, seconds: number, note: string }} StageResult */

/**
 * @param {string} name
 * @returns {Promise<StageResult>}
 */
async function runStage(name) {
  const task = tasks[name];
  if (!task) throw new Error(`no task ${name}`);
  say(`\n=== ${name}`);
  const start = Date.now();
  const counts = [];
  let note = '';
  try {
    await performSteps(task.needs, { quiet: true });
    for (const { command, parameters, environment, report } of task.commands) {
      if (report) rmSync(report.path, { force: true });
      const program = command === 'node' ? (findNode() ?? process.execPath) : command;
      const { code, timedOut } = await run(program, parameters, { cwd: root, env: toolEnvironment(environment), limitSeconds: task.limitSeconds });
      if (timedOut) note = `stopped after its limit of ${task.limitSeconds} s`;
      counts.push(countReport(report, code));
    }
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`[setup] ${error.message}`);
    note = 'could not be set up';
    counts.push({ passed: 0, failed: 1, skipped: 0 });
  }
  return { name, counts: sumCounts(counts), seconds: (Date.now() - start) / 1000, note };
}

/** @param {StageResult[]} results */
function printSummary(results) {
  const rows = results.map(({ name, counts, seconds, note }) => [name, counts.passed, counts.failed, counts.skipped, `${seconds.toFixed(1)} s`, note]);
  const table = [['stage', 'passed', 'failed', 'skipped', 'time', ''], ...rows].map((row) => row.map(String));
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  process.stdout.write(`\n${lines.join('\n')}\n\n`);
}

mkdirSync(resultsFolder, { recursive: true });
let isInterrupted = false;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => (isInterrupted = true));
const results = [];
for (const name of testStages) {
  if (!isInterrupted) results.push(await runStage(name));
}
printSummary(results);
const total = sumCounts(results.map(({ counts }) => counts));
process.stdout.write(`${countsLine(total)}\n`);
process.exitCode = total.failed > 0 || isInterrupted ? 1 : 0;
