import { describe, expect, it } from 'vitest';
import type { ExpertFrame } from '../../../main/contract/index.ts';
import { RpcClient } from '../../../renderer/core/client.ts';
import { decodeBinaryEvent, type RequestMessage } from '../../../renderer/core/wire.ts';

function connected() {
  const sent: RequestMessage[] = [];
  let open = true;
  const client = new RpcClient(() => ({
    send: (message) => {
      if (open) sent.push(message);
      return open;
    },
    dispose: () => undefined,
  }));
  client.setConnected(true);
  return { client, sent, setOpen: (next: boolean) => (open = next) };
}

describe('RpcClient', () => {
  it('gives each call its own answer, in whatever order they come', async () => {
    const { client, sent } = connected();
    const first = client.call('devices.list', {});
    const second = client.call('chats.list', {});
    client.receive({ id: sent[1]?.id ?? 0, result: ['second'] });
    client.receive({ id: sent[0]?.id ?? 0, result: ['first'] });
    expect(await first).toEqual(['first']);
    expect(await second).toEqual(['second']);
  });

  it('rejects with the code and details of the core', async () => {
    const { client, sent } = connected();
    const call = client.call('models.load', { id: 'x' });
    client.receive({ id: sent[0]?.id ?? 0, error: { code: 'model.does-not-fit', message: 'needs 2', details: { need: 2 } } });
    await expect(call).rejects.toMatchObject({ name: 'MoebiusError', code: 'model.does-not-fit', details: { need: 2 } });
  });

  it('lets calls wait for the connection', async () => {
    const { client, sent, setOpen } = connected();
    setOpen(false);
    client.setConnected(false);
    const call = client.call('devices.list', {});
    expect(sent).toEqual([]);
    setOpen(true);
    client.setConnected(true);
    client.receive({ id: sent[0]?.id ?? 0, result: [] });
    expect(await call).toEqual([]);
  });

  it('fails the calls under way when the connection breaks, and not the waiting ones', async () => {
    const { client, sent, setOpen } = connected();
    const underWay = client.call('devices.list', {});
    setOpen(false);
    const waiting = client.call('chats.list', {});
    client.setConnected(false);
    await expect(underWay).rejects.toMatchObject({ code: 'internal' });
    setOpen(true);
    client.setConnected(true);
    client.receive({ id: sent[1]?.id ?? 0, result: [] });
    expect(await waiting).toEqual([]);
  });

  it('tells listeners of an event, until they leave', () => {
    const { client } = connected();
    const heard: string[] = [];
    const leave = client.on('chats.removed', ({ id }) => heard.push(id));
    client.receive({ event: 'chats.removed', payload: { id: 'a' } });
    leave();
    client.receive({ event: 'chats.removed', payload: { id: 'b' } });
    expect(heard).toEqual(['a']);
  });

  it('tells a new connection listener how it stands', () => {
    const { client } = connected();
    const heard: boolean[] = [];
    client.onConnection((state) => heard.push(state));
    client.setConnected(false);
    client.setConnected(false);
    expect(heard).toEqual([true, false]);
  });

  it('rejects what is open and later calls when it is disposed, twice over', async () => {
    const { client } = connected();
    const call = client.call('devices.list', {});
    client.dispose();
    client.dispose();
    await expect(call).rejects.toMatchObject({ code: 'cancelled' });
    await expect(client.call('devices.list', {})).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('decodeBinaryEvent', () => {
  it('puts the bytes that follow the JSON into data', () => {
    const json = new TextEncoder().encode(JSON.stringify({ event: 'experts.frame', payload: { modelId: 'ü' } }));
    const message = new Uint8Array(4 + json.length + 3);
    new DataView(message.buffer).setUint32(0, json.length, true);
    message.set(json, 4);
    message.set([7, 8, 9], 4 + json.length);
    const { event, payload } = decodeBinaryEvent(message.buffer);
    // The test has just written this payload.
    const frame = payload as ExpertFrame;
    expect(event).toBe('experts.frame');
    expect(frame.modelId).toBe('ü');
    expect([...frame.data]).toEqual([7, 8, 9]);
  });
});
