// Who may open the WebSocket: a launch token works once and is traded for a session secret, with which the same tab reconnects.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const digest = (secret: string) => createHash('sha256').update(secret).digest();

export class LaunchTokens {
  readonly #tokens: Buffer[] = [];
  readonly #sessions: Buffer[] = [];

  /** A new one-time token, 192 bits, URL-safe. */
  issue(): string {
    const token = randomBytes(24).toString('base64url');
    this.#tokens.push(digest(token));
    return token;
  }

  /** Spends the token; the session secret, or null if the token is not (or no longer) valid. */
  redeem(token: string): string | null {
    const index = indexOf(this.#tokens, token);
    if (index < 0) return null;
    this.#tokens.splice(index, 1);
    const session = randomBytes(24).toString('base64url');
    this.#sessions.push(digest(session));
    return session;
  }

  isSession(secret: string): boolean {
    return indexOf(this.#sessions, secret) >= 0;
  }
}

function indexOf(digests: Buffer[], secret: string): number {
  const wanted = digest(secret);
  return digests.findIndex((candidate) => timingSafeEqual(candidate, wanted));
}
