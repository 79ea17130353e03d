// `data-theme` on <html> is always dark or light. The choice is kept here too, so that the first paint, before the core answers, is right.
import type { Settings } from '../../main/contract/index.ts';

type Theme = Settings['theme'];

const KEY = 'moebius.theme';
const light = () => window.matchMedia('(prefers-color-scheme: light)');

/** The choice that was last applied; dark on a first start. */
export function rememberedTheme(): Theme {
  const theme = localStorage.getItem(KEY);
  return theme === 'light' || theme === 'system' ? theme : 'dark';
}

export function applyTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  const resolved = theme === 'system' ? (light().matches ? 'light' : 'dark') : theme;
  document.documentElement.dataset.theme = resolved;
}

/** Follows the system's preference for as long as the page lives. */
export function startTheme(): void {
  applyTheme(rememberedTheme());
  light().addEventListener('change', () => applyTheme(rememberedTheme()));
}
