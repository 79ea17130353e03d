import { describe, expect, it, vi } from 'vitest';
import type { CoreClient, ExpertFrame } from '../../../../main/contract/index.ts';
import { UsageHub } from '../../../../renderer/experts/usage-hub.ts';

function setUp(halfLife = Number.POSITIVE_INFINITY) {
  let send: (frame: ExpertFrame) => void = () => {};
  const client = {
    on: (_event: string, listener: (frame: ExpertFrame) => void) => {
      send = listener;
      return () => {};
    },
  } as unknown as CoreClient; // the hub only listens
  const hub = new UsageHub(client, halfLife, () => 0);
  const frame = (change: Partial<ExpertFrame>): ExpertFrame => {
    const data = new DataView(new ArrayBuffer(12));
    data.setUint32(0, 1, true);
    data.setUint32(4, 2, true);
    return { modelId: 'm', chatId: null, messageId: null, layerCount: 1, expertCount: 4, tokens: 1, data: new Uint8Array(data.buffer), ...change };
  };
  return { hub, send: (change: Partial<ExpertFrame> = {}) => send(frame(change)) };
}

describe('UsageHub', () => {
  it('counts for the model, the conversation and the message of a frame, each apart', () => {
    const { hub, send } = setUp();
    send({ chatId: 'a', messageId: 'x' });
    send({ chatId: 'b' });
    send();
    expect(hub.get('model:m')?.totals[1]).toBe(6);
    expect(hub.get('chat:a')?.totals[1]).toBe(2);
    expect(hub.get('chat:b')?.totals[1]).toBe(2);
    expect(hub.get('message:x')?.totals[1]).toBe(2);
    expect(hub.get('message:y')).toBeNull();
  });

  it('tells listeners of that key only, until they unsubscribe', () => {
    const { hub, send } = setUp();
    const listener = vi.fn();
    const unsubscribe = hub.subscribe('chat:a', listener);
    send({ chatId: 'b' });
    expect(listener).not.toHaveBeenCalled();
    send({ chatId: 'a' });
    unsubscribe();
    send({ chatId: 'a' });
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('starts anew when a model comes back with another shape', () => {
    const { hub, send } = setUp();
    send();
    send({ expertCount: 8 });
    expect(hub.get('model:m')).toMatchObject({ expertCount: 8, tokens: 1 });
  });

  it('forgets the longest unused conversations, never models or what is shown', () => {
    const { hub, send } = setUp();
    hub.subscribe('chat:0', () => {});
    for (let chat = 0; chat < 200; chat++) send({ chatId: String(chat) });
    expect(hub.get('model:m')?.tokens).toBe(200);
    expect(hub.get('chat:0')).not.toBeNull();
    expect(hub.get('chat:1')).toBeNull();
    expect(hub.get('chat:199')).not.toBeNull();
  });
});
