import { Dialog, Keys } from '../components/index.ts';
import { useCommandList } from '../stores/index.tsx';
import style from './shortcut-list.module.css';

/** Keys that belong to a place and not to a command. */
const placeKeys = [
  { keys: 'enter', title: 'Send the message' },
  { keys: 'shift+enter', title: 'New line in the message' },
  { keys: 'escape', title: 'Stop the reply, leave an edit, close what is open' },
  { keys: 'up', title: 'Edit your last message (in an empty composer)' },
];

export function ShortcutList({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const commands = useCommandList();
  const rows = commands.flatMap((command) => (command.keys ? [{ keys: command.keys, title: command.title }] : []));
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Keyboard shortcuts" width="small">
      <ul className={style.list}>
        {[...rows, ...placeKeys].map((row) => (
          <li key={row.title}>
            <span>{row.title}</span>
            <Keys keys={row.keys} />
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
