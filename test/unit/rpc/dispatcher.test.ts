import { describe, expect, it } from 'vitest';
import type { Handlers } from '../../../main/contract/index.ts';
import { Dispatcher } from '../../../main/rpc/dispatcher.ts';

const handlers = { 'experts.tokens': async (parameters: unknown) => parameters } as unknown as Handlers; // only what these tests call

describe('Dispatcher', () => {
  const dispatcher = new Dispatcher(handlers);

  it('hands the service the parsed parameters, defaults filled in', async () => {
    expect(await dispatcher.call('experts.tokens', { messageId: 'm' })).toEqual({ messageId: 'm', offset: 0, limit: 1024 });
  });

  it.each(['nope', '__proto__', 'constructor', 'toString', ''])('refuses the unknown method %j', async (method) => {
    await expect(dispatcher.call(method, {})).rejects.toMatchObject({ code: 'request.unknown-method' });
  });

  it.each([
    [{}, 'messageId'],
    [{ messageId: 'm', limit: 0 }, 'limit'],
    [{ messageId: 'm', extra: 1 }, 'extra'],
    [null, 'messageId'],
    ['text', 'object'],
  ])('refuses parameters %j and says why', async (parameters, named) => {
    await expect(dispatcher.call('experts.tokens', parameters)).rejects.toMatchObject({ code: 'request.invalid', message: expect.stringContaining(named) });
  });
});
