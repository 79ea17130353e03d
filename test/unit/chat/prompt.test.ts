import { describe, expect, it } from 'vitest';
import { chatInput, firstPrompt, mergeParameters } from '../../../main/chat/prompt.ts';
import { message } from './doubles.ts';

describe('mergeParameters', () => {
  it('lets the chat win over its preset, sampling setting by setting', () => {
    const preset = { sampling: { temperature: 0.8, topK: 40 }, maxTokens: 100 };
    const chat = { sampling: { temperature: 0 }, stop: ['\n'] };
    expect(mergeParameters(preset, chat)).toEqual({ sampling: { temperature: 0, topK: 40 }, maxTokens: 100, stop: ['\n'] });
  });

  it('has no sampling when neither has', () => {
    expect(mergeParameters({}, { maxTokens: 5 })).toEqual({ maxTokens: 5 });
  });

  it('never has both a grammar and a JSON schema', () => {
    const schema = { jsonSchema: { type: 'object' } };
    expect(mergeParameters({ sampling: { grammar: 'root ::= "a"', topK: 1 } }, { sampling: schema })).toEqual({ sampling: { ...schema, topK: 1 } });
    expect(mergeParameters({ sampling: schema }, { sampling: { topK: 1 } })).toEqual({ sampling: { ...schema, topK: 1 } });
  });
});

describe('firstPrompt', () => {
  it('takes the first that says something', () => {
    expect(firstPrompt('', undefined, '  ', 'model', 'late')).toBe('model');
    expect(firstPrompt(undefined, '')).toBe('');
  });
});

describe('chatInput', () => {
  const user = (text: string) => message({ role: 'user', text });
  const assistant = (text: string, more = {}) => message({ role: 'assistant', text, ...more });

  it('puts the system prompt first, if there is one', () => {
    expect(chatInput('Be brief.', [user('hi')], false)).toEqual({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hi' },
      ],
    });
    expect(chatInput('', [user('hi')], false).messages).toHaveLength(1);
  });

  it('leaves out replies that never came, and joins the user messages that then meet', () => {
    const path = [user('one'), assistant('', { state: 'failed' }), user('two'), assistant('answer'), user('three')];
    expect(chatInput('', path, false).messages.map(({ role, content }) => [role, content])).toEqual([
      ['user', 'one\n\ntwo'],
      ['assistant', 'answer'],
      ['user', 'three'],
    ]);
  });

  it('passes reasoning and tool calls on', () => {
    const toolCalls = [{ id: '1', name: 'f', arguments: '{}' }];
    const input = chatInput('', [user('q'), assistant('', { toolCalls, reasoning: 'hm' })], false);
    expect(input.messages[1]).toEqual({ role: 'assistant', content: '', reasoningContent: 'hm', toolCalls });
  });

  it('says so when the last message is to be continued', () => {
    expect(chatInput('', [user('q'), assistant('The')], true)).toMatchObject({ continueFinalMessage: true });
    expect(chatInput('', [user('q')], false)).not.toHaveProperty('continueFinalMessage');
  });
});
