// The API key at rest: a random salt and a SHA-256 over salt and key, compared in constant time. (Keys are long random strings, so a slow hash adds nothing.)
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

export const StoredKey = z.object({ salt: z.string(), hash: z.string() });
export type StoredKey = z.infer<typeof StoredKey>;

const hashKey = (salt: string, key: string) => createHash('sha256').update(salt).update('\0').update(key).digest();

export function storeKey(key: string): StoredKey {
  const salt = randomBytes(16).toString('hex');
  return { salt, hash: hashKey(salt, key).toString('hex') };
}

export function keyMatches(stored: StoredKey, key: string): boolean {
  return timingSafeEqual(hashKey(stored.salt, key), Buffer.from(stored.hash, 'hex'));
}
