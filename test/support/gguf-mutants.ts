// Seeded damage to a real GGUF file, for the engine as a process. The same seed always gives the same mutant.
// Written apart from native/test/gguf-mutants.cpp, so that the two find different things.
import { closeSync, copyFileSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { ARRAY, type Entry, type Header, parseHeader, STRING, serialiseHeader, text, u32, u64 } from './gguf-header.ts';
import { Random } from './random.ts';

export interface Mutant {
  seed: number;
  kind: string;
}

const extremes = [0n, 1n, 2n, 3n, 5n, 31n, 32n, 64n, 255n, 4096n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 1n << 32n, 1n << 62n, 1n << 63n, (1n << 64n) - 1n];

type Damage = (header: Header, random: Random) => void;

function scalars(header: Header): Entry[] {
  return header.keys.filter((entry) => entry.type !== STRING && entry.type !== ARRAY);
}

function entryOf(header: Header, key: string): Entry {
  const entry = header.keys.find((each) => each.key === key);
  if (entry === undefined) throw new RangeError(`no key ${key}`);
  return entry;
}

const headerDamages: Record<string, [weight: number, damage: Damage]> = {
  'extreme scalar': [
    16,
    (header, random) => {
      const entry = random.pick(scalars(header));
      entry.payload = u64(random.pick(extremes)).subarray(0, entry.payload.length);
      if (entry.type === 6) entry.payload.writeFloatLE(random.pick([0, -1, 1e-30, 1e30, Number.NaN, Infinity, -Infinity]));
    },
  ],
  'scalar near the truth': [
    8,
    (header, random) => {
      const entry = random.pick(scalars(header).filter((each) => each.type === 4));
      entry.payload = u32(entry.payload.readUInt32LE() + random.pick([-32, -2, -1, 1, 2, 32]));
    },
  ],
  'key renamed': [
    5,
    (header, random) => {
      const entry = random.pick(header.keys);
      entry.key = random.pick([`${entry.key}x`, entry.key.slice(0, -1), '', entry.key.toUpperCase(), random.pick(header.keys).key]);
    },
  ],
  'value type': [
    6,
    (header, random) => {
      random.pick(header.keys).type = random.below(16);
    },
  ],
  'length field': [
    10,
    (header, random) => {
      const entry = random.pick(header.keys.filter((each) => each.type === STRING || each.type === ARRAY));
      const at = entry.type === ARRAY ? 4 : 0;
      const truth = entry.payload.readBigUInt64LE(at);
      u64(random.pick([truth - 1n, truth + 1n, truth + 8n, ...extremes])).copy(entry.payload, at);
    },
  ],
  'tensor dimensions': [
    8,
    (header, random) => {
      const tensor = random.pick(header.tensors);
      tensor.dimensions = random.pick([
        [1n << 32n, 1n << 32n],
        [1n << 31n, 1n << 31n, 4n],
        tensor.dimensions.toReversed(),
        [...tensor.dimensions, 1n],
        [...tensor.dimensions, 2n],
        tensor.dimensions.slice(1),
        [random.pick(extremes), ...tensor.dimensions.slice(1)],
      ]);
    },
  ],
  'tensor type': [
    7,
    (header, random) => {
      random.pick(header.tensors).type = random.pick([0, 1, 8, 9, 15, 24, 26, 27, 28, 30, 4, 36, 43, 0xffffffff]);
    },
  ],
  'tensor offset': [
    6,
    (header, random) => {
      const tensor = random.pick(header.tensors);
      tensor.offset = random.pick([tensor.offset + 32n, tensor.offset - 32n, tensor.offset + 1n, ...extremes]);
    },
  ],
  'tensor name': [
    5,
    (header, random) => {
      const tensor = random.pick(header.tensors);
      tensor.name = random.pick([random.pick(header.tensors).name, tensor.name.replace('weight', 'bias'), 'blk.4.x', 'x'.repeat(70), '', 'a\0b']);
    },
  ],
  'key twice': [3, (header, random) => void header.keys.push(random.pick(header.keys))],
  'key missing': [5, (header, random) => void header.keys.splice(random.below(header.keys.length), 1)],
  'token bytes': [
    8,
    (header, random) => {
      const entry = entryOf(header, random.pick(['tokenizer.ggml.tokens', 'tokenizer.ggml.token_type', 'tokenizer.ggml.merges']));
      for (let left = 1 + random.below(5); left > 0; left--) entry.payload[12 + random.below(entry.payload.length - 12)] = random.below(256);
    },
  ],
  template: [
    8,
    (header, random) => {
      const entry = entryOf(header, 'tokenizer.chat_template');
      const body = entry.payload.subarray(8).toString();
      const at = random.below(body.length);
      const cut = body.slice(0, at) + body.slice(at + random.below(12));
      const inserted = body.slice(0, at) + random.pick(['{{', '%}', '(((', '\\', '"', '{% if %}', '|', '\u0000', '{#']) + body.slice(at);
      const other = random.pick(['{{ '.concat('('.repeat(3000)), '{% if a %}'.repeat(3000), '{{ nothing.at.all() }}', '{{ 1 // 0 }}', "{{ 'x' * 9 }}"]);
      entry.payload = text(random.pick([cut, inserted, other]));
    },
  ],
  architecture: [
    4,
    (header, random) => {
      const name = random.pick(['llama', 'qwen2moe', 'olmoe', 'clip', 't5', 'mamba', 'deepseek2', 'gpt-oss', 'nonsense', 'qwen3']);
      for (const entry of header.keys) entry.key = random.below(2) === 0 ? entry.key : entry.key.replace('qwen3moe.', `${name}.`);
      entryOf(header, 'general.architecture').payload = text(name);
    },
  ],
};

function flipBits(header: Buffer, random: Random): void {
  const first = random.pick([0, 0, header.length - 3200]);
  const last = first === 0 ? random.pick([64, 1400, header.length]) : header.length;
  for (let left = 1 + random.below(10); left > 0; left--) {
    const at = first + random.below(last - first);
    header[at] = (header[at] ?? 0) ^ (1 << random.below(8));
  }
}

/** Makes mutants of one original, each in the same file, which only one engine may use at a time. */
export class MutantMaker {
  readonly #original: Buffer;
  readonly #originalPath: string;
  readonly #path: string;
  readonly #headerBytes: number;
  #whole = false;

  constructor(originalPath: string, path: string) {
    this.#originalPath = originalPath;
    this.#path = path;
    this.#original = readFileSync(originalPath);
    this.#headerBytes = serialiseHeader(parseHeader(this.#original)).length;
  }

  /** Writes mutant `seed` to the path and says what it is. */
  write(seed: number): Mutant {
    const random = new Random(seed);
    const header = parseHeader(this.#original.subarray(0, this.#headerBytes));
    const weights = Object.values(headerDamages).reduce((sum, [weight]) => sum + weight, 0);
    let roll = random.below(weights + 25);
    for (const [kind, [weight, damage]] of Object.entries(headerDamages)) {
      if (roll < weight) {
        damage(header, random);
        this.#store(serialiseHeader(header));
        return { seed, kind };
      }
      roll -= weight;
    }
    return { seed, kind: this.#damageBytes(serialiseHeader(header), random) };
  }

  #damageBytes(header: Buffer, random: Random): string {
    const kind = random.pick(['bits', 'bits', 'cut', 'junk', 'data']);
    if (kind === 'bits') flipBits(header, random);
    this.#store(header);
    if (kind === 'bits') return 'header bits';
    const file = openSync(this.#path, 'r+');
    const end = this.#original.length;
    if (kind === 'cut') ftruncateSync(file, random.below(random.pick([200, this.#headerBytes, end])));
    if (kind === 'junk') writeSync(file, Buffer.alloc(1 + random.below(5000), 0x6a), 0, null, end);
    if (kind === 'data')
      writeSync(file, Buffer.alloc(5000, random.pick([0xff, 0x7c, 0x00])), 0, 5000, this.#headerBytes + random.below(end - this.#headerBytes - 5000));
    closeSync(file);
    this.#whole = false;
    return kind === 'cut' ? 'cut off' : kind === 'junk' ? 'junk at the end' : 'tensor data';
  }

  /** The original with another header. Where the data stays in place, only the header is written. */
  #store(header: Buffer): void {
    if (header.length === this.#headerBytes) {
      if (!this.#whole) copyFileSync(this.#originalPath, this.#path);
      const file = openSync(this.#path, 'r+');
      writeSync(file, header, 0, header.length, 0);
      closeSync(file);
      this.#whole = true;
      return;
    }
    const file = openSync(this.#path, 'w');
    writeSync(file, header);
    writeSync(file, this.#original, this.#headerBytes);
    closeSync(file);
    this.#whole = false;
  }
}
