// How differently two sets of counters use the experts of a layer.

/** Jensen-Shannon divergence of two loads, bits: 0 the same shares, 1 no expert in common. Null when either counted nothing. */
export function jensenShannon(left: ArrayLike<number>, right: ArrayLike<number>): number | null {
  const [leftSum, rightSum] = [sum(left), sum(right)];
  if (leftSum === 0 || rightSum === 0) return null;
  let bits = 0;
  for (let index = 0; index < left.length; index++) {
    const p = (left[index] ?? 0) / leftSum;
    const q = (right[index] ?? 0) / rightSum;
    const middle = (p + q) / 2;
    if (p > 0) bits += (p / 2) * Math.log2(p / middle);
    if (q > 0) bits += (q / 2) * Math.log2(q / middle);
  }
  return Math.min(1, Math.max(0, bits));
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let index = 0; index < values.length; index++) total += values[index] ?? 0;
  return total;
}

/** Per layer, for counters of the same shape (layer-major). */
export function layerDivergences(left: ArrayLike<number>, right: ArrayLike<number>, expertCount: number): (number | null)[] {
  const row = (values: ArrayLike<number>, layer: number) => Array.from({ length: expertCount }, (_, expert) => values[layer * expertCount + expert] ?? 0);
  return Array.from({ length: left.length / expertCount }, (_, layer) => jensenShannon(row(left, layer), row(right, layer)));
}

/** Each count over the sum of its layer (layer-major); 0 for layers that counted nothing. */
export function layerShares(counts: ArrayLike<number>, expertCount: number): Float64Array {
  const shares = Float64Array.from(counts);
  for (let start = 0; start < shares.length; start += expertCount) {
    const row = shares.subarray(start, start + expertCount);
    const total = sum(row);
    if (total > 0) for (let expert = 0; expert < row.length; expert++) row[expert] = (row[expert] ?? 0) / total;
  }
  return shares;
}
