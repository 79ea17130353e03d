import type { MenuItemConstructorOptions } from 'electron';
import { describe, expect, it, vi } from 'vitest';
import { menuTemplate } from '../../../electron/menu.ts';

function items(platform: NodeJS.Platform, developer = false, openModel = () => {}): MenuItemConstructorOptions[] {
  const menus = menuTemplate({ platform, developer, openModel });
  return menus.flatMap((menu) => [menu, ...(Array.isArray(menu.submenu) ? menu.submenu : [])]);
}
const roles = (platform: NodeJS.Platform, developer = false) => items(platform, developer).map((item) => item.role);

describe('the application menu', () => {
  it('opens a model with Ctrl/Cmd+O', () => {
    const openModel = vi.fn();
    const item = items('linux', false, openModel).find(({ accelerator }) => accelerator === 'CmdOrCtrl+O');
    const click = item?.click as (() => void) | undefined; // our handler takes no arguments
    click?.();
    expect(openModel).toHaveBeenCalledOnce();
  });
  it('quits from File on Linux and Windows, from the app menu on macOS', () => {
    expect(roles('linux')).toContain('quit');
    expect(roles('darwin')).not.toContain('quit');
    expect(roles('darwin')).toContain('appMenu');
  });
  it('has developer tools in a checkout only', () => {
    expect(roles('linux', true)).toContain('toggleDevTools');
    expect(roles('linux', false)).not.toContain('toggleDevTools');
    expect(roles('linux', false)).not.toContain('reload');
  });
});
