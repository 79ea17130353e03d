import { SlidersVertical } from 'lucide-react';
import type { Page } from '../registry.ts';

export const page: Page = {
  id: 'fine-tune',
  title: 'Fine-tune',
  icon: SlidersVertical,
  order: 50,
  keys: 'mod+5',
  load: () => import('./fine-tune-page.tsx'),
};
