import { Layers3 } from 'lucide-react';
import type { Page } from '../registry.ts';

export const page: Page = { id: 'placement', title: 'Placement', icon: Layers3, order: 40, keys: 'mod+4', load: () => import('./placement-page.tsx') };
