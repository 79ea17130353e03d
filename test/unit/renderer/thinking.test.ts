import { describe, expect, it } from 'vitest';
import { splitThinking } from '../../../renderer/pages/chat/thinking.ts';

describe('reasoning is told apart from the answer', () => {
  it.each([
    ['plain text', 'Hello', { reasoning: '', answer: 'Hello', open: false }],
    ['an empty reply', '', { reasoning: '', answer: '', open: false }],
    ['half an opening tag', '<thi', { reasoning: '', answer: '', open: false }],
    ['an open tag alone', '<think>', { reasoning: '', answer: '', open: true }],
    ['reasoning that goes on', '<think>\nLet me see', { reasoning: 'Let me see', answer: '', open: true }],
    ['half a closing tag', '<think>\nLet me see</thi', { reasoning: 'Let me see', answer: '', open: true }],
    ['reasoning and answer', '<think>\nLet me see\n</think>\n\n42', { reasoning: 'Let me see', answer: '42', open: false }],
    ['a tag that the prompt has opened', 'Let me see\n</think>\n\n42', { reasoning: 'Let me see', answer: '42', open: false }],
    ['other tags', '[THINK]a[/THINK]b', { reasoning: 'a', answer: 'b', open: false }],
    ['a tag inside of an answer', 'Write <think> first', { reasoning: '', answer: 'Write <think> first', open: false }],
    ['a comparison', '< 5', { reasoning: '', answer: '< 5', open: false }],
  ])('%s', (_, text, expected) => {
    expect(splitThinking(text, true)).toEqual(expected);
  });

  it('in a reply that the engine has parsed, the end of a tag is a part of the answer', () => {
    expect(splitThinking('It writes </think> last', false)).toEqual({ reasoning: '', answer: 'It writes </think> last', open: false });
    expect(splitThinking('<', false)).toEqual({ reasoning: '', answer: '<', open: false });
    expect(splitThinking('<think>a</think>b', false)).toEqual({ reasoning: 'a', answer: 'b', open: false });
  });

  it('loses no word at any length of a streamed reply, and never shows a tag', () => {
    const whole = '<think>one two three</think>four five';
    for (let length = 0; length <= whole.length; length++) {
      const { reasoning, answer } = splitThinking(whole.slice(0, length), true);
      expect('one two three'.startsWith(reasoning)).toBe(true);
      expect('four five'.startsWith(answer)).toBe(true);
    }
    expect(splitThinking(whole, true)).toEqual({ reasoning: 'one two three', answer: 'four five', open: false });
  });
});
