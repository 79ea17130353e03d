// Every npm script that is more than `start` and `test`: what it needs to be set up, and what it runs.
import { join } from 'node:path';
import { rendererStep, shellStep } from './bundles.mjs';
import { engineStep, nativeSanitizeStep, nativeTestStep, nativeThreadsStep, pluginStep } from './native.mjs';
import { nodeStep, packagesStep } from './packages.mjs';
import { nativeBuild, nativeSanitizeBuild, nativeThreadsBuild, packageBin, resultsFolder, root } from './paths.mjs';
import { buildRequirements, systemStep, testRequirements } from './system.mjs';

/**
 * @typedef {object} Command
 * @property {string} command a program; `node` stands for the packaged one
 * @property {string[]} parameters
 * @property {NodeJS.ProcessEnv} [environment]
 * @property {import('./report.mjs').ReportFile} [report] what it writes about its tests
 * @property {boolean} [fromUser] runs in the folder that the user is in and reads their stdin
 */

/**
 * @typedef {object} Task
 * @property {import('./steps.mjs').Step[]} needs
 * @property {Command[]} commands in order
 * @property {number} [limitSeconds] of `npm test` for each command
 */

export const buildSystemStep = systemStep('build tools', buildRequirements);
export const testSystemStep = systemStep('test tools', testRequirements);

const tools = [packagesStep, nodeStep];
const engine = [...tools, buildSystemStep, engineStep];
const app = [...engine, rendererStep];

const config = join('test', 'vitest.config.ts');
const result = (/** @type {string} */ name) => join(resultsFolder, name);

/**
 * @param {string} project
 * @returns {Command}
 */
function vitest(project) {
  const path = result(`${project}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${path}`];
  return { command: packageBin('vitest'), parameters: ['run', '--config', config, '--project', project, ...reporters], report: { kind: 'vitest', path } };
}

/**
 * Two tests at a time: most have one thread that computes, and some wait for reads or copies most of the time.
 * @param {string} folder
 * @param {string} name
 * @returns {Command}
 */
function ctest(folder, name) {
  const path = result(`${name}.xml`);
  return {
    command: 'ctest',
    parameters: ['--test-dir', folder, '--parallel', '2', '--output-on-failure', '--no-tests=error', '--output-junit', path],
    report: { kind: 'junit', path },
  };
}

/**
 * @param {string} folder
 * @returns {Command}
 */
function playwright(folder) {
  const path = result(`${folder}.json`);
  return {
    command: packageBin('playwright'),
    parameters: ['test', '--config', join('test', folder, 'playwright.config.ts')],
    environment: { PLAYWRIGHT_JSON_OUTPUT_FILE: path },
    report: { kind: 'playwright', path },
  };
}

const minutes = (/** @type {number} */ count) => count * 60;

/** @type {Record<string, Task>} */
export const tasks = {
  build: { needs: [...app, shellStep], commands: [] },
  'build:native': { needs: engine, commands: [] },
  lint: { needs: tools, commands: [{ command: packageBin('biome'), parameters: ['ci', '--error-on-warnings'] }], limitSeconds: minutes(3) },
  format: { needs: tools, commands: [{ command: packageBin('biome'), parameters: ['check', '--write'] }] },
  types: { needs: tools, commands: [{ command: packageBin('tsc'), parameters: ['-p', root] }], limitSeconds: minutes(3) },
  'test:unit': { needs: tools, commands: [vitest('unit')], limitSeconds: minutes(10) },
  'test:native': {
    needs: [...tools, buildSystemStep, nativeTestStep, nativeSanitizeStep],
    commands: [ctest(nativeBuild, 'native'), ctest(nativeSanitizeBuild, 'native-sanitized')],
    limitSeconds: minutes(30),
  },
  'test:integration': { needs: [...engine, pluginStep, testSystemStep], commands: [vitest('integration')], limitSeconds: minutes(18) },
  'test:e2e': { needs: [...app, testSystemStep], commands: [playwright('e2e')], limitSeconds: minutes(12) },
  'test:e2e-electron': { needs: [...app, shellStep], commands: [playwright('e2e-electron')], limitSeconds: minutes(5) },
  'test:long': { needs: [...engine, nativeThreadsStep], commands: [ctest(nativeThreadsBuild, 'native-threads'), vitest('long')] },
  bench: { needs: app, commands: [{ command: 'node', parameters: [join(root, 'test', 'bench', 'run.ts')] }] },
  moebius: { needs: [...engine], commands: [{ command: 'node', parameters: [join(root, 'main', 'cli', 'moebius.mjs')], fromUser: true }] },
};

/** What `npm test` runs, in order. */
export const testStages = ['lint', 'types', 'test:unit', 'test:native', 'test:integration', 'test:e2e', 'test:e2e-electron'];

/** What `npm start` needs. */
export const appSteps = app;
