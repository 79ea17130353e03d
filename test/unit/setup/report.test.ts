import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { countJunit, countPlaywright, countReport, countsLine, countVitest, sumCounts } from '../../../main/setup/report.mjs';

const vitest = (assertions: string[], change: object = {}) => {
  const count = (status: string) => assertions.filter((each) => each === status).length;
  const testResults = [{ status: count('failed') > 0 ? 'failed' : 'passed', assertionResults: assertions.map((status) => ({ status })) }];
  return {
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numPendingTests: count('pending'),
    numTodoTests: count('todo'),
    testResults,
    ...change,
  };
};

describe('counting tests', () => {
  it('of Vitest', () => expect(countVitest(vitest(['passed', 'passed', 'failed', 'pending', 'todo']))).toEqual({ passed: 2, failed: 1, skipped: 2 }));
  it('of Vitest, where a file that could not be loaded is a failure', () => {
    expect(countVitest(vitest([], { testResults: [{ status: 'failed', assertionResults: [] }] }))).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
  it('of Playwright, where flaky ones passed and errors outside tests are failures', () => {
    const stats = { expected: 5, unexpected: 1, flaky: 2, skipped: 3 };
    expect(countPlaywright({ stats, errors: [{}] })).toEqual({ passed: 7, failed: 2, skipped: 3 });
  });
  it('of ctest', () => {
    const xml = '<?xml version="1.0"?>\n<testsuite name="x" tests="12" failures="2" disabled="1" skipped="3" hostname="">\n<testcase/></testsuite>';
    expect(countJunit(xml)).toEqual({ passed: 6, failed: 2, skipped: 4 });
  });
  it('adds up, and ends in the line that readers look for', () => {
    const sum = sumCounts([
      { passed: 1, failed: 2, skipped: 3 },
      { passed: 10, failed: 20, skipped: 30 },
    ]);
    expect(countsLine(sum)).toBe('11 passed, 22 failed, 33 skipped');
  });
});

describe('the count of one command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-report-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'report.json');

  it('is one check for a tool without tests', () => {
    expect(countReport(undefined, 0)).toEqual({ passed: 1, failed: 0, skipped: 0 });
    expect(countReport(undefined, 1)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
  it('is that of its report', () => {
    writeFileSync(path, JSON.stringify(vitest(['passed', 'pending'])));
    expect(countReport({ kind: 'vitest', path }, 0)).toEqual({ passed: 1, failed: 0, skipped: 1 });
  });
  it('has a failure when the command failed after all its tests had passed', () => {
    writeFileSync(path, JSON.stringify(vitest(['passed'])));
    expect(countReport({ kind: 'vitest', path }, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
  });
  it.each(['vitest', 'playwright', 'junit'] as const)('is one failure when %s wrote no report', (kind) => {
    expect(countReport({ kind, path: join(folder, 'none') }, 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
  it('is one failure when the report was cut off', () => {
    writeFileSync(path, '{"numPassedTests": 3');
    expect(countReport({ kind: 'vitest', path }, 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
});
