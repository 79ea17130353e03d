import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultSize, loadWindowState, placeWindow, saveWindowState, smallestSize } from '../../../electron/window-state.ts';

const screen = { x: 0, y: 24, width: 1920, height: 1016 };
const state = { x: 100, y: 80, width: 1000, height: 700, maximized: false };

describe('the window state file', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'moebius-window-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('gives back what was saved', () => {
    const file = join(folder, 'new/window.json');
    saveWindowState(file, { ...state, maximized: true });
    expect(loadWindowState(file)).toEqual({ ...state, maximized: true });
  });
  it('is as good as absent when it is missing', () => expect(loadWindowState(join(folder, 'none.json'))).toBeNull());
  it.each(['', '{', '[]', '{"x":1}', '{"x":"1","y":2,"width":3,"height":4,"maximized":false}', '{"x":1,"y":2,"width":0,"height":4,"maximized":false}'])(
    'is as good as absent when it holds %s',
    (text) => {
      const file = join(folder, 'window.json');
      writeFileSync(file, text);
      expect(loadWindowState(file)).toBeNull();
    },
  );
});

describe('placeWindow', () => {
  it('has a default for the first start', () => expect(placeWindow(null, [screen])).toEqual(defaultSize));
  it('puts the window where it was', () => expect(placeWindow(state, [screen])).toEqual({ x: 100, y: 80, width: 1000, height: 700 }));
  it('finds it on the second screen', () => {
    const second = { x: 1920, y: 0, width: 1280, height: 1000 };
    expect(placeWindow({ ...state, x: 2000 }, [screen, second])).toMatchObject({ x: 2000, width: 1000 });
  });
  it('keeps the size but not the place when the screen is gone', () =>
    expect(placeWindow({ ...state, x: 5000 }, [screen])).toEqual({ width: 1000, height: 700 }));
  it('keeps the title bar reachable', () => expect(placeWindow({ ...state, y: -300 }, [screen])).toMatchObject({ y: 24 }));
  it('is never larger than the screen', () =>
    expect(placeWindow({ ...state, width: 4000, height: 3000 }, [screen])).toMatchObject({ width: 1920, height: 1016 }));
  it('is never smaller than it can be used', () => expect(placeWindow({ ...state, width: 200, height: 200 }, [screen])).toMatchObject(smallestSize));
});
