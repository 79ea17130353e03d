import { Settings } from 'lucide-react';
import type { Page } from '../registry.ts';

export const page: Page = {
  id: 'settings',
  title: 'Settings',
  icon: Settings,
  order: 90,
  keys: 'mod+,',
  foot: true,
  load: () => import('./settings-page.tsx'),
};
