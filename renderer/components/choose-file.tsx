import { FolderOpen } from 'lucide-react';
import { IconButton } from './button.tsx';

/** The system's dialog for a GGUF file. Not there in a browser, which tells no page where a file is: its path is written instead. */
export function ChooseFile({ label, onChoose }: { label: string; onChoose: (path: string) => void }) {
  const choose = window.moebius?.chooseFile;
  if (!choose) return null;
  const ask = async () => {
    const path = await choose();
    if (path !== null) onChoose(path);
  };
  return <IconButton label={label} icon={FolderOpen} variant="plain" onClick={() => void ask()} />;
}
