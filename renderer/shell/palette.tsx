import { Command as Cmdk } from 'cmdk';
import { MessageSquare } from 'lucide-react';
import { Dialog } from 'radix-ui';
import { useMemo } from 'react';
import { Keys } from '../components/index.ts';
import type { Command } from '../stores/commands.ts';
import { useChats, useCommandList } from '../stores/index.tsx';
import { navigate } from './navigation.ts';
import style from './palette.module.css';

const CHAT_LIMIT = 100;

/** Every action and every recent chat, by name. */
export function Palette({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className={style.overlay} />
        <Dialog.Content className={style.content} aria-describedby={undefined}>
          <Dialog.Title className="visually-hidden">Command palette</Dialog.Title>
          <PaletteList onDone={() => onOpenChange(false)} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function PaletteList({ onDone }: { onDone: () => void }) {
  const commands = useCommandList();
  const chats = useChats((state) => state.chats);
  const groups = useMemo(() => grouped(commands), [commands]);
  // Closed first: the action may open something or move the focus itself.
  const run = (action: () => void) => {
    onDone();
    setTimeout(action);
  };
  return (
    <Cmdk label="Commands" loop className={style.command}>
      <Cmdk.Input className={style.input} placeholder="Do or find…" aria-label="Do or find" />
      <Cmdk.List className={style.list} label="Commands">
        <Cmdk.Empty className={style.none}>Nothing of that name.</Cmdk.Empty>
        {groups.map(([group, members]) => (
          <Cmdk.Group key={group} heading={group} className={style.group}>
            {members.map((command) => (
              <PaletteItem key={command.id} command={command} onSelect={() => run(command.run)} />
            ))}
          </Cmdk.Group>
        ))}
        {chats && chats.length > 0 && (
          <Cmdk.Group heading="Chats" className={style.group}>
            {chats.slice(0, CHAT_LIMIT).map((chat) => (
              <Cmdk.Item
                key={chat.id}
                value={`chat ${chat.id}`}
                keywords={[chat.title]}
                className={style.item}
                onSelect={() => run(() => navigate('chat', [chat.id]))}
              >
                <MessageSquare size={15} aria-hidden />
                <span className={style.title}>{chat.title}</span>
              </Cmdk.Item>
            ))}
          </Cmdk.Group>
        )}
      </Cmdk.List>
    </Cmdk>
  );
}

function PaletteItem({ command, onSelect }: { command: Command; onSelect: () => void }) {
  return (
    <Cmdk.Item value={command.id} keywords={[command.title, command.group, command.words ?? '']} className={style.item} onSelect={onSelect}>
      {command.icon ? <command.icon size={15} aria-hidden /> : <span className={style.noIcon} />}
      <span className={style.title}>{command.title}</span>
      {command.keys && <Keys keys={command.keys} />}
    </Cmdk.Item>
  );
}

function grouped(commands: readonly Command[]): [string, Command[]][] {
  const groups = new Map<string, Command[]>();
  for (const command of commands) groups.set(command.group, [...(groups.get(command.group) ?? []), command]);
  return [...groups];
}
