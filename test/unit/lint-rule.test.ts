// The dependency directions of .biome.json: electron -> main -> (RPC) native; renderer -> main/contract only.
// Of several overrides there that match a file the last one replaces the others, so each lists everything that its folder may not import.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');

/** [file, specifier] pairs that the rule must stop. */
const forbidden: [string, string][] = [
  ['main/core.ts', 'electron'],
  ['main/server/web.ts', 'electron/main'],
  ['main/server/web.ts', '../../electron/window.ts'],
  ['main/core.ts', '../electron/window.ts'],
  ['main/chat/service.ts', '../../renderer/core/client.ts'],
  ['main/chat/service.ts', 'react'],
  ['main/chat/service.ts', 'node:child_process'],
  ['main/chat/service.ts', 'vscode-jsonrpc/node'],
  ['main/library/library.ts', '../../native/tools/run.ts'],
  ['main/engine/client.ts', '../../native/tools/run.ts'],
  ['main/engine/client.ts', 'electron'],
  ['main/engine/client.ts', '../../renderer/app.tsx'],
  ['main/setup/start.mjs', '../../renderer/app.tsx'],
  ['main/core.ts', '../test/integration/helper.ts'],
  ['main/contract/chats.ts', 'node:fs'],
  ['main/contract/chats.ts', 'zod/v4'],
  ['main/contract/chats.ts', '../engine/engine.ts'],
  ['main/contract/chats.ts', '../storage/database.ts'],
  ['main/contract/chats.ts', './../storage/database.ts'],
  ['main/contract/chats.ts', '../../renderer/app.tsx'],
  ['main/engine/protocol.ts', 'node:fs'],
  ['main/engine/protocol.ts', './engine.ts'],
  ['main/engine/protocol.ts', '../contract/errors.ts'],
  ['main/engine/replay-protocol.ts', './engine.ts'],
  ['main/engine/replay-protocol.ts', 'node:fs'],
  ['renderer/chat/page.tsx', '../../main/core.ts'],
  ['renderer/app.tsx', '../main/core.ts'],
  ['renderer/chat/parts/list.tsx', '../../../main/chat/service.ts'],
  ['renderer/chat/page.tsx', '../../main/engine/engine.ts'],
  ['renderer/chat/page.tsx', '../../electron/preload.ts'],
  ['renderer/chat/page.tsx', 'electron'],
  ['renderer/chat/page.tsx', 'node:fs'],
  ['renderer/chat/page.tsx', 'better-sqlite3'],
  ['renderer/chat/page.tsx', '../../test/e2e/fixture.ts'],
  ['renderer/vite.config.ts', '../main/core.ts'],
  ['electron/main.ts', '../renderer/app.tsx'],
  ['electron/main.ts', '../main/engine/supervisor.ts'],
  ['electron/main.ts', 'node:child_process'],
  ['electron/main.ts', '../native/tools/run.ts'],
];

/** [file, specifier] pairs that the rule must let pass. */
const allowed: [string, string][] = [
  ['main/core.ts', './engine/supervisor.ts'],
  ['main/chat/service.ts', '../generation/generation.ts'],
  ['main/chat/service.ts', '../contract/index.ts'],
  ['main/chat/service.ts', 'node:fs/promises'],
  ['main/engine/client.ts', 'node:child_process'],
  ['main/engine/client.ts', 'vscode-jsonrpc/node'],
  ['main/setup/start.mjs', 'node:child_process'],
  ['main/storage/worker.ts', 'better-sqlite3'],
  ['main/contract/chats.ts', 'zod'],
  ['main/contract/chats.ts', './errors.ts'],
  ['main/contract/chats.ts', '../engine/protocol.ts'],
  ['main/engine/protocol.ts', 'zod'],
  ['main/engine/protocol.ts', './replay-protocol.ts'],
  ['main/engine/replay-protocol.ts', 'zod'],
  ['renderer/app.tsx', '../main/contract/index.ts'],
  ['renderer/chat/page.tsx', '../../main/contract/index.ts'],
  ['renderer/chat/parts/list.tsx', '../../../main/contract/experts.ts'],
  ['renderer/chat/page.tsx', '../core/client.ts'],
  ['renderer/chat/page.tsx', 'react'],
  ['renderer/vite.config.ts', 'node:path'],
  ['electron/main.ts', 'electron'],
  ['electron/main.ts', '../main/core.ts'],
  ['electron/main.ts', '../main/rpc/message-port.ts'],
  ['test/e2e/fixture.ts', '../../main/core.ts'],
];

/** Every way of importing that the rule must see through, each on one line. */
const forms: ((specifier: string, name: string) => string)[] = [
  (specifier) => `import '${specifier}';`,
  (specifier, name) => `import ${name} from '${specifier}';`,
  (specifier, name) => `import { value as ${name} } from '${specifier}';`,
  (specifier) => `export * from '${specifier}';`,
  (specifier, name) => `export const ${name} = await import('${specifier}');`,
];
const typeForm = (specifier: string, name: string) => `import type { Value as ${name} } from '${specifier}';`;
const formsFor = (file: string) => (file.endsWith('.mjs') ? forms : [...forms, typeForm]);

interface Report {
  diagnostics: { category: string; location: { path: string; start: { line: number } } }[];
}

/** Writes every pair in every form into the sample folder; gives the source lines of each file, for reading the report. */
function writeSamples(folder: string): Map<string, string[]> {
  const samples = new Map<string, string[]>();
  for (const [file, specifier] of [...forbidden, ...allowed]) {
    const lines = samples.get(file) ?? [];
    for (const form of formsFor(file)) lines.push(form(specifier, `name${lines.length}`));
    samples.set(file, lines);
  }
  for (const [file, lines] of samples) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${lines.join('\n')}\n`);
  }
  return samples;
}

describe('the dependency-direction lint rule', () => {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-lint-'));
  const flagged = new Map<string, Set<string>>();

  beforeAll(() => {
    const samples = writeSamples(folder);
    const configuration = JSON.parse(readFileSync(join(root, '.biome.json'), 'utf8'));
    // The sample folder is no git repository; everything else is the configuration that the project is linted with.
    writeFileSync(join(folder, '.biome.json'), JSON.stringify({ ...configuration, vcs: { enabled: false } }));
    const options = ['lint', '--only=style/noRestrictedImports', '--reporter=json', '--max-diagnostics=none', '.'];
    const run = spawnSync(process.execPath, [biome, ...options], { cwd: folder, encoding: 'utf8' });
    const report: Report = JSON.parse(run.stdout);
    for (const { category, location } of report.diagnostics) {
      expect(category).toBe('lint/style/noRestrictedImports');
      const source = samples.get(location.path)?.[location.start.line - 1] ?? 'no such line';
      flagged.set(location.path, (flagged.get(location.path) ?? new Set()).add(source));
    }
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const flaggedLines = (file: string, specifier: string) => [...(flagged.get(file) ?? [])].filter((line) => line.includes(`'${specifier}'`)).length;

  it.each(forbidden)('%s may not import %s, in any form', (file, specifier) => {
    expect(flaggedLines(file, specifier)).toBe(formsFor(file).length);
  });

  it.each(allowed)('%s may import %s', (file, specifier) => {
    expect(flaggedLines(file, specifier)).toBe(0);
  });
});
