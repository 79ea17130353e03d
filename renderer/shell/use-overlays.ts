import { useMemo, useState } from 'react';

/** What is open over the page. */
export interface Overlays {
  palette: boolean;
  setPalette: (open: boolean) => void;
  models: boolean;
  setModels: (open: boolean) => void;
  shortcuts: boolean;
  setShortcuts: (open: boolean) => void;
}

export function useOverlays(): Overlays {
  const [palette, setPalette] = useState(false);
  const [models, setModels] = useState(false);
  const [shortcuts, setShortcuts] = useState(false);
  return useMemo(() => ({ palette, setPalette, models, setModels, shortcuts, setShortcuts }), [palette, models, shortcuts]);
}
