import { MoreHorizontal, Save, SaveAll, Trash2 } from 'lucide-react';
import { useState } from 'react';
import type { Preset } from '../../../main/contract/index.ts';
import { Badge, Button, ConfirmDialog, Dialog, Field, IconButton, Menu, Select, TextInput } from '../../components/index.ts';
import type { ChatSetup } from '../../stores/draft.ts';
import { useStores } from '../../stores/index.tsx';
import style from './parameters.module.css';
import { type SetupChange, sameParameters } from './setup.ts';
import { usePresets } from './use-presets.ts';

const NONE = 'none';

interface PresetPickerProps {
  setup: ChatSetup;
  change: (change: SetupChange) => void;
}

/** A named system prompt with parameters: apply, save, delete. */
export function PresetPicker({ setup, change }: PresetPickerProps) {
  const { notices } = useStores();
  const { presets, save, remove } = usePresets();
  const [dialog, setDialog] = useState<'save' | 'delete' | null>(null);
  const current = presets.find((preset) => preset.id === setup.presetId);
  const modified = current !== undefined && !(current.systemPrompt === setup.systemPrompt && sameParameters(current.parameters, setup.parameters));
  const apply = (preset: Preset) => change({ presetId: preset.id, systemPrompt: preset.systemPrompt, parameters: preset.parameters });
  const store = async (name: string, id?: string) => {
    try {
      const preset = await save({ name, systemPrompt: setup.systemPrompt, parameters: setup.parameters, ...(id ? { id } : {}) });
      change({ presetId: preset.id });
    } catch (error) {
      notices.getState().error(error);
    }
  };
  const own = current !== undefined && !current.builtIn;
  return (
    <Field label="Preset" trailing={modified && <Badge tone="accent">modified</Badge>}>
      {(control) => (
        <div className={style.withButton}>
          <Select
            {...control}
            className={style.grow}
            value={current?.id ?? NONE}
            options={[{ value: NONE, label: 'None' }, ...presets.map((preset) => ({ value: preset.id, label: preset.name }))]}
            onChange={(id) => {
              const preset = presets.find((candidate) => candidate.id === id);
              if (preset) apply(preset);
              else change({ presetId: null });
            }}
          />
          <Menu
            trigger={<IconButton label="Preset actions" icon={MoreHorizontal} variant="plain" />}
            items={[
              { label: 'Save as new preset…', icon: SaveAll, run: () => setDialog('save') },
              {
                label: current ? `Save into “${current.name}”` : 'Save',
                icon: Save,
                disabled: !own || !modified,
                run: () => current && void store(current.name, current.id),
              },
              null,
              { label: 'Delete preset…', icon: Trash2, danger: true, disabled: !own, run: () => setDialog('delete') },
            ]}
          />
          {dialog === 'save' && <SaveDialog onClose={() => setDialog(null)} onSave={(name) => void store(name)} />}
          <ConfirmDialog
            open={dialog === 'delete'}
            onOpenChange={(open) => !open && setDialog(null)}
            title={`Delete preset “${current?.name ?? ''}”?`}
            description="Chats that use it keep their parameters. This can't be undone."
            confirm="Delete"
            danger
            onConfirm={() => {
              if (!current) return;
              change({ presetId: null });
              void remove(current.id).catch((error: unknown) => notices.getState().error(error));
            }}
          />
        </div>
      )}
    </Field>
  );
}

function SaveDialog({ onClose, onSave }: { onClose: () => void; onSave: (name: string) => void }) {
  const [name, setName] = useState('');
  const save = (event: React.FormEvent) => {
    event.preventDefault();
    onSave(name.trim());
    onClose();
  };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button variant="primary" submit form="save-preset" disabled={name.trim() === ''}>
        Save
      </Button>
    </>
  );
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title="Save as preset"
      description="Keeps this system prompt and these parameters under a name."
      width="small"
      footer={footer}
    >
      <form id="save-preset" onSubmit={save}>
        <Field label="Name">{(control) => <TextInput {...control} value={name} maxLength={80} onChange={(event) => setName(event.target.value)} />}</Field>
      </form>
    </Dialog>
  );
}
