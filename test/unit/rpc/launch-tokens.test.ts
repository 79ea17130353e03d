import { expect, it } from 'vitest';
import { LaunchTokens } from '../../../main/rpc/launch-tokens.ts';

it('redeems a token once, for a session that stays valid', () => {
  const tokens = new LaunchTokens();
  const token = tokens.issue();
  const session = tokens.redeem(token);
  expect(session).toMatch(/^[\w-]{32}$/);
  expect(tokens.redeem(token)).toBeNull();
  expect(tokens.isSession(session ?? '')).toBe(true);
});

it('knows neither made-up tokens nor a token as a session', () => {
  const tokens = new LaunchTokens();
  const token = tokens.issue();
  expect(tokens.redeem('x')).toBeNull();
  expect(tokens.isSession(token)).toBe(false);
});
