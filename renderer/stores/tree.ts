// Conversations are trees. Pure functions over their messages.
import type { Message } from '../../main/contract/index.ts';

export type Messages = ReadonlyMap<string, Message>;

/** Ids from the root to `leafId`; empty when there is no such message. */
export function pathTo(messages: Messages, leafId: string | null): string[] {
  const path: string[] = [];
  const seen = new Set<string>();
  let message = leafId === null ? undefined : messages.get(leafId);
  while (message && !seen.has(message.id)) {
    seen.add(message.id);
    path.push(message.id);
    message = message.parentId === null ? undefined : messages.get(message.parentId);
  }
  return path.reverse();
}

/** Ids of the messages with the same parent and role, the message itself included, oldest first, for every message. */
export function siblingsOfAll(messages: Messages): Map<string, string[]> {
  const groups = new Map<string, Message[]>();
  for (const message of messages.values()) {
    const key = `${message.parentId ?? ''} ${message.role}`;
    const group = groups.get(key);
    if (group) group.push(message);
    else groups.set(key, [message]);
  }
  const siblings = new Map<string, string[]>();
  for (const group of groups.values()) {
    const ids = group.sort((a, b) => a.createdAt - b.createdAt).map((message) => message.id);
    for (const id of ids) siblings.set(id, ids);
  }
  return siblings;
}

/** How many messages hang below this one. */
export function countBelow(messages: Messages, id: string): number {
  const below = new Set([id]);
  let grew = true;
  while (grew) {
    grew = false;
    for (const message of messages.values()) {
      if (message.parentId !== null && below.has(message.parentId) && !below.has(message.id)) {
        below.add(message.id);
        grew = true;
      }
    }
  }
  return below.size - 1;
}
