import { Copy, KeyRound, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { Badge, Button, ErrorNotice, Field, IconButton, Notice, NumberInput, Switch, TextInput } from '../../components/index.ts';
import { copyText } from '../../markdown/copy.ts';
import { useApp, useStores } from '../../stores/index.tsx';
import style from './settings.module.css';
import { useSettingValues } from './use-setting.ts';

const SHORTEST_KEY = 16;

export function ApiSettings() {
  const { settings, change } = useSettingValues();
  const status = useApp((state) => state.api);
  const { api } = settings;
  return (
    <>
      <Field label="Serve an endpoint" hint="On loopback only: other machines can’t reach it." layout="row">
        {(control) => <Switch {...control} checked={api.enabled} onChange={(enabled) => change({ api: { ...api, enabled } })} />}
      </Field>
      {status?.error && <ErrorNotice error={status.error} advice="Choose another port, or close the program that has this one." />}
      {status?.running && status.url && <Address url={status.url} />}
      <Field label="Port" hint="0: any that is free." layout="row">
        {(control) => (
          <NumberInput
            {...control}
            className={style.short}
            value={api.port}
            min={0}
            max={65_535}
            integer
            onCommit={(port) => change({ api: { ...api, port: port ?? 0 } })}
          />
        )}
      </Field>
      <ApiKey required={status?.keyRequired ?? false} />
    </>
  );
}

function Address({ url }: { url: string }) {
  const base = url.endsWith('/v1') ? url : `${url.replace(/\/$/, '')}/v1`;
  return (
    <Field label="Base URL" hint="For OpenAI’s clients; any model name that /v1/models lists." layout="row">
      {(control) => (
        <div className={style.inline}>
          <TextInput {...control} mono readOnly value={base} onFocus={(event) => event.target.select()} />
          <IconButton label="Copy the address" icon={Copy} variant="plain" onClick={() => void copyText(base)} />
        </div>
      )}
    </Field>
  );
}

/** The key is shown once, when it is made: the core keeps only a hash of it. */
function ApiKey({ required }: { required: boolean }) {
  const { app } = useStores();
  const [draft, setDraft] = useState('');
  const [made, setMade] = useState<string | null>(null);
  const set = async (key: string) => {
    await app.getState().setApiKey(key);
    setMade(key);
    setDraft('');
  };
  const short = draft !== '' && draft.length < SHORTEST_KEY ? `At least ${SHORTEST_KEY} characters; these are ${draft.length}.` : null;
  return (
    <>
      <Field
        label="API key"
        hint="What programs must send as bearer token. Without one, every program of this machine may use the endpoint."
        error={short}
        layout="row"
        trailing={required ? <Badge tone="good">key set</Badge> : <Badge>no key</Badge>}
      >
        {(control) => (
          <div className={style.inline}>
            <TextInput
              {...control}
              mono
              type="password"
              autoComplete="new-password"
              placeholder={required ? 'Another key' : 'A key of your own'}
              value={draft}
              onChange={(event) => setDraft(event.target.value)}
            />
            <Button disabled={draft.length < SHORTEST_KEY} onClick={() => void set(draft)}>
              Set
            </Button>
            <Button icon={KeyRound} hint="Makes a random key" onClick={() => void set(randomKey())}>
              Make one
            </Button>
            {required && (
              <Button
                icon={Trash2}
                onClick={() => {
                  setMade(null);
                  void app.getState().setApiKey(null);
                }}
              >
                Remove
              </Button>
            )}
          </div>
        )}
      </Field>
      {made && required && (
        <Notice
          title={<code>{made}</code>}
          actions={
            <Button size="small" icon={Copy} onClick={() => void copyText(made)}>
              Copy
            </Button>
          }
        >
          Copy the key now: it is not shown again.
        </Notice>
      )}
    </>
  );
}

/** 192 random bits. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return `mb-${btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')}`;
}
