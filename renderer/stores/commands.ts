// Every action that the palette and the keyboard reach. Pages add theirs while they are shown.
import type { LucideIcon } from 'lucide-react';
import { createStore, type StoreApi } from 'zustand/vanilla';
import { matchesKeys } from '../components/keys.ts';

export interface Command {
  /** unique; a later registration of the same id hides the earlier one */
  id: string;
  title: string;
  /** heading in the palette: `Chat`, `Models`, ... */
  group: string;
  icon?: LucideIcon;
  keys?: string;
  /** more words to find it by */
  words?: string;
  run: () => void;
}

export interface CommandsState {
  commands: Command[];
  /** returns the function that takes them away again */
  register(commands: readonly Command[]): () => void;
}

export function createCommandsStore(): StoreApi<CommandsState> {
  const registrations = new Set<readonly Command[]>();
  return createStore<CommandsState>()((set) => {
    const publish = () => {
      const byId = new Map<string, Command>();
      for (const commands of registrations) for (const command of commands) byId.set(command.id, command);
      set({ commands: [...byId.values()] });
    };
    return {
      commands: [],
      register: (commands) => {
        registrations.add(commands);
        publish();
        return () => {
          registrations.delete(commands);
          publish();
        };
      },
    };
  });
}

/** The command that a key press asks for. */
export function commandForKeys(commands: readonly Command[], event: KeyboardEvent): Command | undefined {
  return commands.find((command) => command.keys !== undefined && matchesKeys(event, command.keys));
}
