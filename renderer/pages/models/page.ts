import { Boxes } from 'lucide-react';
import type { Page } from '../registry.ts';

export const page: Page = { id: 'models', title: 'Models', icon: Boxes, order: 20, keys: 'mod+2', load: () => import('./models-page.tsx') };
