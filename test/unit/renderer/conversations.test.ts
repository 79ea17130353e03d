// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from 'vitest';
import type { EventPayload } from '../../../main/contract/index.ts';
import { MoebiusError } from '../../../main/contract/index.ts';
import { type ConversationStores, createConversationStores } from '../../../renderer/stores/conversations.ts';
import { createNoticesStore } from '../../../renderer/stores/notices.ts';
import { CoreDouble, chat, message } from './core-double.ts';

const question = message('m1', null, 'user', { text: 'Hi' });
const streaming = message('m2', 'm1', 'assistant', { state: 'streaming' });

let core: CoreDouble;
let stores: ConversationStores;
let notices: ReturnType<typeof createNoticesStore>;

const conversation = () => stores.conversations.getState().conversations.chat;
const liveText = (id = 'm2') => stores.live.getState().replies[id]?.text;
const settle = () => new Promise((resolve) => setTimeout(resolve));

function delta(offset: number, text: string, more: Partial<EventPayload<'chat.delta'>> = {}): void {
  core.send('chat.delta', { chatId: 'chat', messageId: 'm2', offset, text, tokens: 1, tokensPerSecond: 10, ...more });
}

beforeEach(async () => {
  core = new CoreDouble();
  notices = createNoticesStore(() => ({}));
  stores = createConversationStores(core, notices);
  core.answers['chats.get'] = () => chat([question, streaming]);
  await stores.conversations.getState().open('chat');
});

describe('a streaming reply', () => {
  it('grows by its deltas, once a frame', () => {
    delta(0, 'Hel');
    delta(3, 'lo');
    expect(liveText()).toBe('');
    stores.live.getState().flush();
    expect(liveText()).toBe('Hello');
    expect(stores.live.getState().replies.m2?.tokensPerSecond).toBe(10);
  });

  it('does not change the conversation with every delta', () => {
    const before = conversation();
    delta(0, 'Hello');
    stores.live.getState().flush();
    expect(conversation()).toBe(before);
  });

  it('ignores a delta that it has already, and the known part of one that overlaps', () => {
    delta(0, 'Hello');
    delta(0, 'Hel');
    delta(3, 'lo you');
    stores.live.getState().flush();
    expect(liveText()).toBe('Hello you');
  });

  it('is fetched again once when something is missing, and then takes what came meanwhile', async () => {
    delta(0, 'one ');
    core.answers['chats.get'] = () => chat([question, { ...streaming, text: 'one two ' }]);
    delta(8, 'three ');
    delta(14, 'four');
    stores.live.getState().flush();
    expect(liveText()).toBe('one ');
    await settle();
    expect(liveText()).toBe('one two three four');
    expect(core.count('chats.get')).toBe(2);
  });

  it('keeps the text it has when what is fetched is older', async () => {
    delta(0, 'one two');
    stores.live.getState().flush();
    core.answers['chats.get'] = () => chat([question, { ...streaming, text: 'one' }]);
    await stores.conversations.getState().refetch('chat');
    expect(liveText()).toBe('one two');
  });

  it('is replaced by the stored message when it ends, late deltas included', () => {
    delta(0, 'Hel');
    const final = { ...streaming, state: 'complete' as const, text: 'Hello.' };
    core.send('chat.message', final);
    delta(3, 'lo');
    expect(conversation()?.messages.get('m2')).toEqual(final);
    expect(liveText()).toBeUndefined();
  });

  it('of a conversation that is not open has its figures followed only', () => {
    delta(40, 'x', { chatId: 'other', messageId: 'm9', tokensPerSecond: 7 });
    stores.live.getState().flush();
    expect(stores.live.getState().replies.m9).toEqual({ chatId: 'other', text: null, tokens: 1, tokensPerSecond: 7, promptFraction: null });
    core.send('chat.message', message('m9', null, 'assistant', { chatId: 'other' }));
    expect(stores.live.getState().replies.m9).toBeUndefined();
  });

  it('shows how much of the prompt has been read until the first token', () => {
    core.send('chat.progress', { chatId: 'chat', messageId: 'm2', fraction: 0.4 });
    expect(stores.live.getState().replies.m2?.promptFraction).toBe(0.4);
    delta(0, 'x');
    stores.live.getState().flush();
    expect(stores.live.getState().replies.m2?.promptFraction).toBeNull();
  });

  it('continues with the prefix it had', () => {
    core.send('chat.message', { ...streaming, state: 'stopped', text: 'one' });
    core.send('chat.message', { ...streaming, state: 'streaming', text: 'one' });
    delta(3, ' two');
    stores.live.getState().flush();
    expect(liveText()).toBe('one two');
  });
});

describe('a conversation', () => {
  it('shows the path to its leaf', () => {
    expect(conversation()?.path).toEqual(['m1', 'm2']);
  });

  it('follows a message that is added below its leaf', () => {
    core.send('chat.message', message('m3', 'm2', 'user'));
    expect(conversation()?.path).toEqual(['m1', 'm2', 'm3']);
  });

  it('does not follow a message that is added to another branch', () => {
    core.send('chat.message', message('m3', 'm1', 'assistant'));
    expect(conversation()?.path).toEqual(['m1', 'm2']);
    expect(conversation()?.siblings.get('m2')).toEqual(['m2', 'm3']);
  });

  it('keeps the identity of its path while only texts change', () => {
    const path = conversation()?.path;
    core.send('chat.message', { ...streaming, state: 'complete', text: 'done' });
    expect(conversation()?.path).toBe(path);
  });

  it('shows the branch of a reply that was asked for again', async () => {
    core.answers['chat.regenerate'] = () => ({ userMessage: null, assistantMessage: message('m3', 'm1', 'assistant', { state: 'streaming' }) });
    expect(await stores.conversations.getState().regenerate('m2')).toBe(true);
    expect(conversation()?.path).toEqual(['m1', 'm3']);
  });

  it('trusts an event that overtook the answer', async () => {
    core.answers['chat.send'] = () => {
      const user = message('m3', 'm2', 'user', { text: 'More' });
      const reply = message('m4', 'm3', 'assistant', { state: 'streaming' });
      core.send('chat.message', user);
      core.send('chat.message', { ...reply, state: 'failed', error: { code: 'engine.died', message: 'gone' } });
      return { userMessage: user, assistantMessage: reply };
    };
    await stores.conversations.getState().send('chat', 'More');
    expect(conversation()?.messages.get('m4')?.state).toBe('failed');
    expect(conversation()?.path).toEqual(['m1', 'm2', 'm3', 'm4']);
  });

  it('shows why it could not send, and answers false', async () => {
    core.answers['chat.send'] = () => {
      throw new MoebiusError('chat.busy', 'A reply is running in this chat.');
    };
    expect(await stores.conversations.getState().send('chat', 'x')).toBe(false);
    expect(notices.getState().toasts.map((toast) => toast.title)).toEqual(['A reply is running in this chat.']);
  });

  it('keeps the error of a conversation that could not be opened', async () => {
    core.answers['chats.get'] = () => {
      throw new MoebiusError('chat.not-found', 'There is no chat gone.');
    };
    await stores.conversations.getState().open('gone');
    expect(stores.conversations.getState().errors.gone?.code).toBe('chat.not-found');
  });

  it('is fetched again after a lost connection, with its streams taken anew', async () => {
    delta(0, 'one');
    stores.live.getState().flush();
    core.answers['chats.get'] = () => chat([question, { ...streaming, state: 'interrupted', text: 'one tw' }]);
    await stores.conversations.getState().refetchAll();
    expect(liveText()).toBeUndefined();
    expect(conversation()?.messages.get('m2')?.text).toBe('one tw');
  });

  it('is gone when it was removed', () => {
    core.send('chats.removed', { id: 'chat' });
    expect(conversation()).toBeUndefined();
  });
});
