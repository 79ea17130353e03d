import { describe, expect, it } from 'vitest';
import { type AdapterChoice, MoebiusError } from '../../../main/contract/index.ts';
import { bench } from './service.ts';

const adapters = {
  chosen: (_: string, choices: AdapterChoice[] | undefined) =>
    (choices ?? []).map(({ id, scale }) => {
      if (id === 'gone') throw new MoebiusError('adapter.not-found', 'There is no adapter "gone".');
      return { id, name: `The ${id}`, scale };
    }),
};

describe('the adapters of a conversation', () => {
  it('are kept with it, sent with each reply, and stored with the message before it streams', async () => {
    const b = await bench({ adapters });
    const { id } = await b.call['chats.create']({});
    await b.call['chats.update']({ id, parameters: { adapters: [{ id: 'pirate', scale: 0.5 }] } });
    const { assistantMessage } = await b.call['chat.send']({ chatId: id, text: 'Hi' });
    const applied = [{ id: 'pirate', name: 'The pirate', scale: 0.5 }];
    expect(assistantMessage.adapters).toEqual(applied);
    const generation = await b.generations.of(assistantMessage);
    expect(generation.request.adapters).toEqual([{ id: 'pirate', scale: 0.5 }]);
    generation.fail(new MoebiusError('engine.died', 'The engine ended.'));
    expect((await b.final(assistantMessage.id)).adapters).toEqual(applied);
    const chat = await b.call['chats.get']({ id });
    expect(chat.parameters.adapters).toEqual([{ id: 'pirate', scale: 0.5 }]);
    expect(chat.messages.map((message) => message.adapters)).toEqual([[], applied]);
  });

  it('of a reply that goes on are those of now', async () => {
    const b = await bench({ adapters });
    const { id } = await b.call['chats.create']({});
    const { assistantMessage } = await b.call['chat.send']({ chatId: id, text: 'Hi' });
    const first = await b.generations.of(assistantMessage);
    first.stream('Ah');
    first.finish({ finishReason: 'length' });
    expect((await b.final(assistantMessage.id)).adapters).toEqual([]);
    await b.call['chats.update']({ id, parameters: { adapters: [{ id: 'pirate', scale: 1 }] } });
    const continued = await b.call['chat.continue']({ messageId: assistantMessage.id });
    expect(continued.assistantMessage.adapters).toEqual([{ id: 'pirate', name: 'The pirate', scale: 1 }]);
  });

  it('that are gone stop a reply before anything is stored', async () => {
    const b = await bench({ adapters });
    const { id } = await b.call['chats.create']({});
    await b.call['chats.update']({ id, parameters: { adapters: [{ id: 'gone', scale: 1 }] } });
    await expect(b.call['chat.send']({ chatId: id, text: 'Hi' })).rejects.toMatchObject({ code: 'adapter.not-found' });
    expect((await b.call['chats.get']({ id })).messages).toEqual([]);
  });

  it('come back from an export, and older exports have none', async () => {
    const b = await bench({ adapters });
    const { id } = await b.call['chats.create']({});
    await b.call['chats.update']({ id, parameters: { adapters: [{ id: 'pirate', scale: 1 }] } });
    const { assistantMessage } = await b.call['chat.send']({ chatId: id, text: 'Hi' });
    (await b.generations.of(assistantMessage)).finish();
    await b.final(assistantMessage.id);
    const { content } = await b.call['chats.export']({ id, format: 'json' });
    const read = async (text: string) => {
      const [summary] = await b.call['chats.import']({ format: 'json', content: text });
      return (await b.call['chats.get']({ id: summary?.id ?? '' })).messages.map((message) => message.adapters.map((adapter) => adapter.id));
    };
    expect(await read(content)).toEqual([[], ['pirate']]);
    const old = JSON.parse(content);
    for (const message of old.chats[0].messages) delete message.adapters;
    expect(await read(JSON.stringify(old))).toEqual([[], []]);
  });
});
