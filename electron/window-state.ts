// Where the window was: kept in a file, brought back only if it is still on a screen.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';

export interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

const WindowState = z.object({
  x: z.number().int(),
  y: z.number().int(),
  width: z.number().int().min(1),
  height: z.number().int().min(1),
  maximized: z.boolean(),
});
export type WindowState = z.infer<typeof WindowState>;

export const defaultSize = { width: 1280, height: 820 };
export const smallestSize = { width: 720, height: 480 };

/** At least this much of the window must be on a screen, or it could not be dragged back. */
const VISIBLE_PIXELS = 120;

export function loadWindowState(file: string): WindowState | null {
  try {
    return WindowState.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return null; // none yet, or not ours: the default does
  }
}

export function saveWindowState(file: string, state: WindowState): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, JSON.stringify(state));
  renameSync(`${file}.new`, file);
}

/** Bounds for a new window; without x and y the system chooses the place. `screens`: work areas of the displays, device-independent pixels. */
export function placeWindow(state: WindowState | null, screens: Rectangle[]): Partial<Rectangle> & { width: number; height: number } {
  if (state === null) return defaultSize;
  const size = { width: Math.max(state.width, smallestSize.width), height: Math.max(state.height, smallestSize.height) };
  const screen = screens.find((area) => overlap(area, state) >= VISIBLE_PIXELS ** 2);
  if (screen === undefined) return size;
  const width = Math.min(size.width, screen.width);
  const height = Math.min(size.height, screen.height);
  return { x: state.x, y: Math.max(state.y, screen.y), width, height };
}

function overlap(a: Rectangle, b: Rectangle): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(0, width) * Math.max(0, height);
}
