import { useEffect } from 'react';
import { Toasts, TooltipProvider } from '../components/index.ts';
import { commandForKeys } from '../stores/commands.ts';
import { useCommands, useNotices, useStores } from '../stores/index.tsx';
import style from './app.module.css';
import { Banners } from './banners.tsx';
import { useGlobalCommands } from './global-commands.ts';
import { ModelBar } from './model-bar.tsx';
import { PageOutlet } from './page-outlet.tsx';
import { Palette } from './palette.tsx';
import { Rail } from './rail.tsx';
import { ShortcutList } from './shortcut-list.tsx';
import { StatusLine } from './status-line.tsx';
import { useOverlays } from './use-overlays.ts';

export function App() {
  const overlays = useOverlays();
  useCommands(useGlobalCommands(overlays));
  useCommandKeys();
  const toasts = useNotices((state) => state.toasts);
  const dismiss = useNotices((state) => state.dismiss);
  return (
    <TooltipProvider>
      <div className={style.app}>
        <button type="button" className={style.skip} onClick={skipToPage}>
          Skip to the page
        </button>
        <Rail onPalette={() => overlays.setPalette(true)} />
        <ModelBar open={overlays.models} onOpenChange={overlays.setModels} />
        <div className={style.middle}>
          <Banners />
          <main className={style.main} id="main" tabIndex={-1}>
            <PageOutlet />
          </main>
        </div>
        <StatusLine />
      </div>
      <Palette open={overlays.palette} onOpenChange={overlays.setPalette} />
      <ShortcutList open={overlays.shortcuts} onOpenChange={overlays.setShortcuts} />
      <Toasts toasts={toasts} onDismiss={dismiss} />
    </TooltipProvider>
  );
}

// A button, not a link: the fragment belongs to the addresses of pages.
function skipToPage(): void {
  document.getElementById('main')?.focus();
}

/** Key presses run the commands that name them, wherever the focus is. */
function useCommandKeys(): void {
  const { commands } = useStores();
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const command = commandForKeys(commands.getState().commands, event);
      if (!command || event.defaultPrevented || event.isComposing) return;
      event.preventDefault();
      command.run();
    };
    window.addEventListener('keydown', onKeyDown);
    return () => window.removeEventListener('keydown', onKeyDown);
  }, [commands]);
}
