import { describe, expect, it } from 'vitest';
import { Preset } from '../../../main/contract/index.ts';
import { bench } from './service.ts';

const values = { name: 'Mine', systemPrompt: 'Be me.', parameters: { sampling: { temperature: 0.1 } } };

describe('presets', () => {
  it('has the built-in ones, which the contract accepts', async () => {
    const b = await bench();
    const presets = await b.call['presets.list']({});
    expect(presets.map((preset) => [preset.id, preset.builtIn])).toEqual([
      ['default', true],
      ['precise', true],
      ['creative', true],
      ['programmer', true],
    ]);
    expect(Preset.array().parse(presets)).toEqual(presets);
  });

  it('saves, changes and deletes one of the user', async () => {
    const b = await bench();
    const saved = await b.call['presets.save'](values);
    expect(saved).toEqual({ ...values, id: saved.id, builtIn: false });
    const changed = await b.call['presets.save']({ ...values, id: saved.id, name: 'Other' });
    expect((await b.call['presets.list']({})).slice(4)).toEqual([changed]);
    expect(changed.name).toBe('Other');
    await b.call['presets.delete']({ id: saved.id });
    expect(await b.call['presets.list']({})).toHaveLength(4);
  });

  it('saves a changed built-in one under a new id', async () => {
    const b = await bench();
    const copy = await b.call['presets.save']({ ...values, id: 'precise' });
    expect(copy).toMatchObject({ builtIn: false, name: 'Mine' });
    expect(copy.id).not.toBe('precise');
    expect((await b.call['presets.list']({})).find((preset) => preset.id === 'precise')?.name).toBe('Precise');
  });

  it('refuses to delete a built-in one, and unknown ids', async () => {
    const b = await bench();
    await expect(b.call['presets.delete']({ id: 'default' })).rejects.toMatchObject({ code: 'request.invalid' });
    await expect(b.call['presets.delete']({ id: 'x' })).rejects.toMatchObject({ code: 'preset.not-found' });
    await expect(b.call['presets.save']({ ...values, id: 'x' })).rejects.toMatchObject({ code: 'preset.not-found' });
  });

  it('leaves chats that used a deleted one without', async () => {
    const b = await bench();
    const { id: presetId } = await b.call['presets.save'](values);
    const chat = await b.call['chats.create']({ presetId });
    await b.call['presets.delete']({ id: presetId });
    expect((await b.call['chats.get']({ id: chat.id })).presetId).toBeNull();
  });
});
