// Every folder here with a `page.ts` is a page: it appears in the rail, the palette and the addresses by being there.
import type { LucideIcon } from 'lucide-react';
import type { ComponentType } from 'react';

export interface Page {
  /** the first part of its address: `#/models` */
  id: string;
  title: string;
  icon: LucideIcon;
  /** place in the rail, from the top */
  order: number;
  keys: string;
  /** its place is the foot of the rail */
  foot?: boolean;
  /** loads the page's component; called once, with the first visit */
  load: () => Promise<{ default: ComponentType }>;
}

const modules = import.meta.glob<{ page: Page }>('./*/page.ts', { eager: true });

export const pages: readonly Page[] = Object.values(modules)
  .map((module) => module.page)
  .sort((a, b) => a.order - b.order);
