import { Copy } from 'lucide-react';
import { Field, Figures, IconButton, TextInput } from '../../components/index.ts';
import { copyText } from '../../markdown/copy.ts';
import { useApp } from '../../stores/index.tsx';
import style from './settings.module.css';

export function DataSettings() {
  const info = useApp((state) => state.info);
  const folder = info?.dataFolder ?? '';
  return (
    <>
      <Field label="Location" hint="Chats, settings and recorded routes. Copy this folder for a backup while Moebius is closed." layout="row">
        {(control) => (
          <div className={style.inline}>
            <TextInput {...control} mono readOnly value={folder} onFocus={(event) => event.target.select()} />
            <IconButton label="Copy the path" icon={Copy} variant="plain" onClick={() => void copyText(folder)} />
          </div>
        )}
      </Field>
      <Figures
        figures={[
          { label: 'Moebius', value: info?.version ?? '–' },
          { label: 'Platform', value: info?.platform ?? '–' },
        ]}
      />
    </>
  );
}
