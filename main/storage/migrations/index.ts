import { migration001 } from './001-chats.ts';
import { migration002 } from './002-models.ts';
import { migration003 } from './003-experts.ts';
import { migration004 } from './004-training.ts';
import { migration005 } from './005-message-adapters.ts';
import type { Migration } from './migration.ts';

/** In order, without gaps. */
export const migrations: readonly Migration[] = [migration001, migration002, migration003, migration004, migration005];
