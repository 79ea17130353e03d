import { describe, expect, it, vi } from 'vitest';
import type { CoreClient, ExpertFrame } from '../../../../main/contract/index.ts';
import { UsageHub } from '../../../../renderer/experts/usage-hub.ts';
import { modelCard } from '../../../support/models.ts';

function setUp(halfLife = Number.POSITIVE_INFINITY) {
  const listeners = new Map<string, (payload: unknown) => void>();
  const client = {
    on: (event: string, listener: (payload: unknown) => void) => {
      listeners.set(event, listener);
      return () => listeners.delete(event);
    },
  } as unknown as CoreClient; // the hub only listens
  const clock = { seconds: 0, now: () => clock.seconds, time: () => 1_700_000_000 + clock.seconds };
  const hub = new UsageHub(client, halfLife, clock);
  const frame = (change: Partial<ExpertFrame>): ExpertFrame => {
    const data = new DataView(new ArrayBuffer(12));
    data.setUint32(0, 1, true);
    data.setUint32(4, 2, true);
    return { modelId: 'm', chatId: null, messageId: null, layerCount: 1, expertCount: 4, tokens: 1, data: new Uint8Array(data.buffer), ...change };
  };
  const emit = (event: string, payload: unknown) => listeners.get(event)?.(payload);
  return { hub, clock, emit, send: (change: Partial<ExpertFrame> = {}) => emit('experts.frame', frame(change)) };
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

  it('counts a model anew after it was unloaded, and forgets a deleted conversation', () => {
    const { hub, send, emit } = setUp();
    const listener = vi.fn();
    hub.subscribe('model:m', listener);
    send({ chatId: 'a' });
    emit('models.changed', modelCard('other'));
    expect(hub.get('model:m')?.tokens).toBe(1);
    emit('models.changed', modelCard('m', { state: { state: 'loading', fraction: 0, stage: 'reading' } }));
    emit('models.changed', modelCard('m'));
    emit('chats.removed', { id: 'a' });
    expect([hub.get('model:m'), hub.get('chat:a'), hub.history('model:m')]).toEqual([null, null, null]);
    expect(listener).toHaveBeenCalledTimes(2);
  });

  it('keeps the history of models and conversations as frames come, and while somebody samples', () => {
    const { hub, clock, send } = setUp(8);
    for (clock.seconds = 0; clock.seconds < 2; clock.seconds += 0.25) send({ chatId: 'a', messageId: 'x' });
    hub.sample('model:m');
    const [time, maximumOverMean, , speed] = hub.history('model:m')?.series ?? [];
    expect(time?.map((second) => second - 1_700_000_000)).toEqual([0, 0.5, 1, 1.5, 2]);
    expect(maximumOverMean).toEqual([4, 4, 4, 4, 4]);
    expect(speed).toEqual([null, 4, 4, 4, 2]);
    expect(hub.history('chat:a')?.series[0]).toHaveLength(4);
    expect(hub.history('message:x')).toBeNull();
  });
});
