// Numbers of GGUF files, found by node-llama-cpp's reader: it shares no code with what writes them.
import { readFileSync } from 'node:fs';
import { readGgufFileInfo } from 'node-llama-cpp';

const F32 = 0; // GgmlType

/** The F32 tensors of a file, by name. */
export async function readTensors(path: string): Promise<Map<string, Float32Array>> {
  const { fullTensorInfo = [] } = await readGgufFileInfo(path, { logWarnings: false });
  const bytes = readFileSync(path);
  const tensors = new Map<string, Float32Array>();
  for (const { name, dimensions, ggmlType, fileOffset } of fullTensorInfo) {
    if (ggmlType !== F32) continue;
    const count = dimensions.reduce<number>((product, each) => product * Number(each), 1);
    const begin = bytes.byteOffset + Number(fileOffset);
    tensors.set(name, new Float32Array(bytes.buffer.slice(begin, begin + count * 4)));
  }
  return tensors;
}
