import { saveFile } from '../../components/index.ts';
import type { Stores } from '../../stores/index.tsx';

/** Hands a chat to the browser as a file. */
export async function saveChat(stores: Stores, id: string, format: 'json' | 'markdown'): Promise<void> {
  const file = await stores.chats.getState().exportChat(id, format);
  if (!file) return;
  const type = format === 'json' ? 'application/json' : 'text/markdown';
  saveFile(file.fileName, new Blob([file.content], { type }));
}
