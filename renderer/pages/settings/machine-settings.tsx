import { Plus, RefreshCw, X } from 'lucide-react';
import { useState } from 'react';
import { Button, Field, IconButton, TextInput } from '../../components/index.ts';
import { useApp, useStores } from '../../stores/index.tsx';
import style from './settings.module.css';
import { useSettingValues } from './use-setting.ts';

/** null: it is host:port */
export function endpointProblem(text: string): string | null {
  const parts = /^[A-Za-z0-9._-]{1,253}:([0-9]{1,5})$/.exec(text);
  const port = Number(parts?.[1] ?? 0);
  return port >= 1 && port <= 65535 ? null : 'A name or an IPv4 address and a port, as in 192.168.1.20:50052.';
}

/** Machines that lend their devices. */
export function MachineSettings() {
  const { settings, change } = useSettingValues();
  const machines = useApp((state) => state.machines);
  const { app } = useStores();
  const [draft, setDraft] = useState('');
  const [busy, setBusy] = useState(false);
  const text = draft.trim();
  const problem = text === '' ? null : endpointProblem(text);
  const endpoints = settings.remoteMachines;
  const state = (endpoint: string) => {
    const machine = machines.find((each) => each.endpoint === endpoint);
    return machine?.problem ?? (machine?.devices.length ? `lends ${machine.devices.join(', ')}` : 'not connected yet');
  };
  const add = () => {
    if (text === '' || problem !== null) return;
    if (!endpoints.includes(text)) change({ remoteMachines: [...endpoints, text] });
    setDraft('');
  };
  const reconnect = async () => {
    setBusy(true);
    await app.getState().reconnect();
    setBusy(false);
  };
  return (
    <Field
      label="Other machines"
      hint="GPUs of machines that run “moebius rpc-server” appear in the list above; tick those to use. What a model computes there goes over the network unencrypted."
      error={problem}
      layout="row"
    >
      {(control) => (
        <>
          {endpoints.length > 0 && (
            <ul className={style.folders} aria-label="Other machines">
              {endpoints.map((endpoint) => (
                <li key={endpoint}>
                  <span>
                    <code>{endpoint}</code> · {state(endpoint)}
                  </span>
                  <IconButton
                    label={`Remove ${endpoint} from the list`}
                    icon={X}
                    size="small"
                    onClick={() => change({ remoteMachines: endpoints.filter((other) => other !== endpoint) })}
                  />
                </li>
              ))}
            </ul>
          )}
          <form
            className={style.inline}
            onSubmit={(event) => {
              event.preventDefault();
              add();
            }}
          >
            <TextInput {...control} mono placeholder="host:port" value={draft} onChange={(event) => setDraft(event.target.value)} />
            <Button submit icon={Plus} disabled={text === '' || problem !== null}>
              Add
            </Button>
            <Button icon={RefreshCw} busy={busy} disabled={endpoints.length === 0} onClick={() => void reconnect()}>
              Connect again
            </Button>
          </form>
        </>
      )}
    </Field>
  );
}
