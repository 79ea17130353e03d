// What a loaded model needs the memory of a device for.
import { MemoryUse } from '../../components/index.ts';

export interface MemorySplit {
  weights: number;
  experts: number;
  kvCache: number;
  compute: number;
}

/** `available`: bytes free now; without it the bar shows the split alone. */
export function MemoryBar({ device, split, available, estimated }: { device: string; split: MemorySplit; available?: number; estimated?: boolean }) {
  const { weights, experts, kvCache, compute } = split;
  const parts = [
    { label: 'weights', bytes: weights },
    { label: 'experts', bytes: experts },
    { label: 'KV cache', bytes: kvCache },
    { label: 'compute', bytes: compute },
  ];
  return <MemoryUse device={device} label="Memory" parts={parts} free={available} {...(estimated && { estimated })} />;
}
