import { MessagesSquare } from 'lucide-react';
import type { Page } from '../registry.ts';

export const page: Page = { id: 'chat', title: 'Chat', icon: MessagesSquare, order: 10, keys: 'mod+1', load: () => import('./chat-page.tsx') };
