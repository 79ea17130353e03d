import { describe, expect, it } from 'vitest';
import { EngineLog } from '../../../main/engine/log.ts';

function recorded(chunks: string[]): { calls: string[]; lines: readonly string[] } {
  const calls: string[] = [];
  const at = (level: string) => (text: string) => void calls.push(`${level} ${text}`);
  const log = new EngineLog({ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') });
  for (const chunk of chunks) log.append(chunk);
  log.end();
  return { calls, lines: log.lines };
}

describe('EngineLog', () => {
  it('passes lines on with their level, however they are cut', () => {
    const text = '{"level":"debug","text":"a"}\n{"level":"error","text":"b"}\r\n';
    for (const chunks of [[text], [...text]]) expect(recorded(chunks).calls).toEqual(['debug a', 'error b']);
  });

  it('takes foreign lines for warnings, the last one without a newline too', () => {
    expect(recorded(['{"level":\n{"text":1}\n{"level":"fatal","text":"c"}\n\nplain']).calls).toEqual([
      'warn {"level":',
      'warn {"text":1}',
      'warn c',
      'warn plain',
    ]);
  });

  it('keeps the last 50 lines, each of bounded length', () => {
    const { lines } = recorded([Array.from({ length: 60 }, (_, index) => `line ${index}\n`).join(''), 'x'.repeat(100_000)]);
    expect(lines).toHaveLength(50);
    expect(lines[0]).toBe('line 11');
    expect(lines.at(-1)).toHaveLength(8192);
  });
});
