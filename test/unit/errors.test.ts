// The engine's list of error codes and the catalogue agree, and the engine's sources use no other.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { errorCatalogue } from '../../main/contract/errors.ts';

const native = join(import.meta.dirname, '../../native');
const list = /error_codes\[\] = \{([^}]*)\}/.exec(readFileSync(join(native, 'rpc/errors.h'), 'utf8'))?.[1] ?? '';
const engineCodes = [...list.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? '');

function sources(): string[] {
  return ['rpc', 'model', 'decode', 'router'].flatMap((folder) =>
    readdirSync(join(native, folder))
      .filter((name) => name.endsWith('.cpp') || name.endsWith('.h'))
      .map((name) => readFileSync(join(native, folder, name), 'utf8')),
  );
}

describe('error codes of the engine', () => {
  it('are all in the catalogue', () => {
    expect(engineCodes.length).toBeGreaterThan(20);
    expect(engineCodes.filter((code) => !(code in errorCatalogue))).toEqual([]);
  });

  it('are the ones that its sources use', () => {
    // every text of the sources that looks like a code of one of the catalogue's families
    const families = new Set(Object.keys(errorCatalogue).map((code) => code.split('.')[0]));
    const raised = sources()
      .flatMap((text) => [...text.matchAll(/(?:user_error\(|fail\(|refuse\(file, )\s*"([a-z]+(?:\.[a-z-]+)?)"/g)].map((match) => match[1] ?? ''))
      .filter((code) => families.has(code.split('.')[0] ?? ''));
    expect(raised.length).toBeGreaterThan(20);
    expect([...new Set(raised)].filter((code) => !engineCodes.includes(code))).toEqual([]);
  });
});
