import { FolderOpen, FolderPlus, FolderSearch, X } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import { Button, Field, IconButton, Select, Switch, TextInput } from '../../components/index.ts';
import { useCommands, useStores } from '../../stores/index.tsx';
import style from './settings.module.css';
import { useSettingValues } from './use-setting.ts';

const layoutModes = [
  { value: 'auto' as const, label: 'automatic', hint: 'when a model was used for a while and is idle' },
  { value: 'ask' as const, label: 'ask first', hint: 'says so when one would help' },
  { value: 'off' as const, label: 'off', hint: 'only when asked for on the Placement page' },
];

/** Where models are found and where downloads go. */
export function FolderSettings() {
  const { settings, change } = useSettingValues();
  return (
    <>
      <ModelFolders folders={settings.modelFolders} onChange={(modelFolders) => change({ modelFolders })} />
      <CommittedText
        label="Download folder"
        hint="Downloads of models go here; it is scanned too."
        value={settings.downloadFolder}
        onCommit={(downloadFolder) => change({ downloadFolder })}
        browse
      />
      <CommittedText
        label="Model hub"
        hint="Hugging Face, or a mirror of it."
        value={settings.hubUrl}
        onCommit={(hubUrl) => change({ hubUrl })}
        check={checkUrl}
      />
      <Field
        label="Layout files"
        hint="A model that does not fit into RAM is read faster from a file beside it that holds its experts once more: nearly as much disk again as the model takes. Written once, in the background, only in your model folders and with room to spare."
        layout="row"
      >
        {(control) => <Select {...control} value={settings.expertLayouts} options={layoutModes} onChange={(expertLayouts) => change({ expertLayouts })} />}
      </Field>
      <Field label="Load at start" hint="Loads the models again that were loaded when Moebius was closed." layout="row">
        {(control) => <Switch {...control} checked={settings.reloadModels} onChange={(reloadModels) => change({ reloadModels })} />}
      </Field>
      <Field label="Record token routes" hint="Keeps which experts each token of a reply went to, for the token inspector: some KiB a reply." layout="row">
        {(control) => <Switch {...control} checked={settings.recordRoutes} onChange={(recordRoutes) => change({ recordRoutes })} />}
      </Field>
    </>
  );
}

function checkUrl(text: string): string | null {
  const problem = 'An address that begins with http:// or https://.';
  try {
    return /^https?:$/.test(new URL(text).protocol) ? null : problem;
  } catch {
    return problem;
  }
}

function ModelFolders({ folders, onChange }: { folders: readonly string[]; onChange: (folders: string[]) => void }) {
  const { models, notices } = useStores();
  const [draft, setDraft] = useState('');
  const [scanning, setScanning] = useState(false);
  const add = (folder: string) => {
    const path = folder.trim();
    if (path !== '' && !folders.includes(path)) onChange([...folders, path]);
    setDraft('');
  };
  const choose = async () => {
    const folder = await window.moebius?.chooseFolder?.();
    if (folder) add(folder);
  };
  const scan = useMemo(
    () => async () => {
      setScanning(true);
      await models.getState().scan();
      setScanning(false);
      notices.getState().show({ tone: 'good', title: `${models.getState().models?.length ?? 0} models known after the scan.` });
    },
    [models, notices],
  );
  useCommands(useMemo(() => [{ id: 'models.scan', title: 'Scan model folders', group: 'Models', icon: FolderSearch, run: () => void scan() }], [scan]));
  return (
    <Field label="Model folders" hint="GGUF files in these folders and the folders below appear under Models." layout="row">
      {(control) => (
        <>
          {folders.length > 0 && (
            <ul className={style.folders}>
              {folders.map((folder) => (
                <li key={folder}>
                  <code>{folder}</code>
                  <IconButton
                    label={`Remove ${folder} from the list`}
                    icon={X}
                    size="small"
                    onClick={() => onChange(folders.filter((other) => other !== folder))}
                  />
                </li>
              ))}
            </ul>
          )}
          <form
            className={style.inline}
            onSubmit={(event) => {
              event.preventDefault();
              add(draft);
            }}
          >
            <TextInput {...control} mono placeholder="Path of a folder" value={draft} onChange={(event) => setDraft(event.target.value)} />
            {window.moebius?.chooseFolder && <IconButton label="Choose a folder" icon={FolderOpen} variant="plain" onClick={() => void choose()} />}
            <Button submit icon={FolderPlus} disabled={draft.trim() === ''}>
              Add
            </Button>
            <Button icon={FolderSearch} busy={scanning} onClick={() => void scan()}>
              Scan
            </Button>
          </form>
        </>
      )}
    </Field>
  );
}

interface CommittedTextProps {
  label: string;
  hint: string;
  value: string;
  onCommit: (value: string) => void;
  /** what is wrong with the text, or null */
  check?: (text: string) => string | null;
  browse?: boolean;
}

/** Text that is stored when the field is left or Enter is pressed. */
function CommittedText({ label, hint, value, onCommit, check, browse }: CommittedTextProps) {
  const [draft, setDraft] = useState(value);
  useEffect(() => setDraft(value), [value]);
  const text = draft.trim();
  const problem = text === '' ? 'This can’t be empty.' : (check?.(text) ?? null);
  const commit = (next: string) => next !== value && next !== '' && !check?.(next) && onCommit(next);
  const choose = async () => {
    const folder = await window.moebius?.chooseFolder?.();
    if (folder) commit(folder);
  };
  return (
    <Field label={label} hint={hint} error={problem} layout="row">
      {(control) => (
        <div className={style.inline}>
          <TextInput
            {...control}
            mono
            value={draft}
            onChange={(event) => setDraft(event.target.value)}
            onBlur={() => commit(text)}
            onKeyDown={(event) => event.key === 'Enter' && commit(text)}
          />
          {browse && window.moebius?.chooseFolder && <IconButton label="Choose a folder" icon={FolderOpen} variant="plain" onClick={() => void choose()} />}
        </div>
      )}
    </Field>
  );
}
