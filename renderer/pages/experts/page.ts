import { Grid3x3 } from 'lucide-react';
import type { Page } from '../registry.ts';

export const page: Page = { id: 'experts', title: 'Experts', icon: Grid3x3, order: 30, keys: 'mod+3', load: () => import('./experts-page.tsx') };
