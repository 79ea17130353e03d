// Key combinations are written once, as `mod+shift+o`; `mod` is Cmd on a Mac and Ctrl elsewhere.

export const isMac = typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.platform);

const macNames: Record<string, string> = { mod: '⌘', shift: '⇧', alt: '⌥', enter: '↩', escape: 'Esc', up: '↑', down: '↓' };
const otherNames: Record<string, string> = { mod: 'Ctrl', shift: 'Shift', alt: 'Alt', enter: 'Enter', escape: 'Esc', up: '↑', down: '↓' };

/** `mod+shift+o` as `['Ctrl', 'Shift', 'O']`, or with the Mac's signs. */
export function keyNames(keys: string, mac = isMac): string[] {
  const names = mac ? macNames : otherNames;
  return keys.split('+').map((key) => names[key] ?? key.toUpperCase());
}

export function keyText(keys: string, mac = isMac): string {
  return keyNames(keys, mac).join(mac ? '' : '+');
}

/** For `aria-keyshortcuts`. */
export function ariaKeys(keys: string, mac = isMac): string {
  const names: Record<string, string> = { mod: mac ? 'Meta' : 'Control', shift: 'Shift', alt: 'Alt', enter: 'Enter', escape: 'Escape' };
  return keys
    .split('+')
    .map((key) => names[key] ?? key.toUpperCase())
    .join('+');
}

/** True if the event is exactly this combination. Letters and digits go by the character, and by the place of the key where Shift changes it. */
export function matchesKeys(event: KeyboardEvent, keys: string, mac = isMac): boolean {
  const parts = keys.split('+');
  const key = parts[parts.length - 1] ?? '';
  const mod = mac ? event.metaKey : event.ctrlKey;
  const otherMod = mac ? event.ctrlKey : event.metaKey;
  if (mod !== parts.includes('mod') || otherMod) return false;
  if (event.altKey !== parts.includes('alt')) return false;
  const pressed = event.key.toLowerCase();
  const byPlace = event.code === `Key${key.toUpperCase()}` || event.code === `Digit${key}`;
  if (pressed !== key && !byPlace) return false;
  return event.shiftKey === parts.includes('shift') || key === '?';
}
