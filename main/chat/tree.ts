// Conversations are trees. Pure functions over the messages of one chat, always in the order they were created (parents first).

export interface TreeNode {
  id: string;
  parentId: string | null;
}

/** From the root to `leafId`, both included. Empty for null and for an id that is not there. */
export function pathTo<Node extends TreeNode>(messages: readonly Node[], leafId: string | null): Node[] {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const path: Node[] = [];
  for (let id = leafId; id !== null; ) {
    const message = byId.get(id);
    if (message === undefined) break;
    path.push(message);
    id = message.parentId;
  }
  return path.reverse();
}

/** The end of the branch through `id` that always takes the newest child; of the newest root for null. Null if there is none. */
export function newestLeafUnder(messages: readonly TreeNode[], id: string | null): string | null {
  const newestChild = new Map(messages.map((message) => [message.parentId, message.id]));
  let leaf = id;
  for (let child = newestChild.get(leaf); child !== undefined; child = newestChild.get(leaf)) leaf = child;
  return leaf;
}

/** The messages with the same parent as `id`, itself included, oldest first: the alternatives at this place. */
export function siblingsOf<Node extends TreeNode>(messages: readonly Node[], id: string): Node[] {
  const message = messages.find((candidate) => candidate.id === id);
  return message === undefined ? [] : messages.filter((candidate) => candidate.parentId === message.parentId);
}

/** `id` and everything below it. */
export function subtreeOf(messages: readonly TreeNode[], id: string): Set<string> {
  const subtree = new Set<string>();
  for (const message of messages) {
    if (message.id === id || (message.parentId !== null && subtree.has(message.parentId))) subtree.add(message.id);
  }
  return subtree;
}

/** The leaf to show once `removed` is gone: the one shown, if it stays; else the newest branch at the place of the cut. */
export function leafWithout(messages: readonly TreeNode[], leafId: string | null, removed: ReadonlySet<string>): string | null {
  const left = messages.filter((message) => !removed.has(message.id));
  if (leafId !== null && !removed.has(leafId)) return leafId;
  const kept = pathTo(messages, leafId).findLast((message) => !removed.has(message.id));
  return newestLeafUnder(left, kept?.id ?? null);
}
