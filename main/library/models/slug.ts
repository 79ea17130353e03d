// Model ids: readable, usable in a URL, the same for the life of the library.

/** `Qwen3 30B-A3B.Q4_K_M` -> `qwen3-30b-a3b.q4_k_m` */
export function slugOf(stem: string): string {
  const slug = stem
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9._]+/g, '-')
    .replace(/^[-._]+|[-._]+$/g, '')
    .slice(0, 100);
  return slug || 'model';
}

/** `tiny-moe`, then `tiny-moe-2`, `tiny-moe-3` ... */
export function uniqueSlug(stem: string, taken: (id: string) => boolean): string {
  const slug = slugOf(stem);
  if (!taken(slug)) return slug;
  let suffix = 2;
  while (taken(`${slug}-${suffix}`)) suffix += 1;
  return `${slug}-${suffix}`;
}
