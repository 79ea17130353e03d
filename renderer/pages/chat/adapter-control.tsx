import { Blend, Trash2 } from 'lucide-react';
import { useMemo, useState } from 'react';
import type { ModelAdapter } from '../../../main/contract/index.ts';
import { ariaKeys, Button, ErrorNotice, format, IconButton, NumberInput, Popover, Slider, Switch } from '../../components/index.ts';
import { useCurrentModel } from '../../shell/current-model.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useAdapters, useCommands, useStores } from '../../stores/index.tsx';
import { type AdapterRow, adapterRows, withAdapter } from './adapter-choice.ts';
import style from './adapter-control.module.css';
import { AddAdapter } from './add-adapter.tsx';
import { useChatSetup, withParameter } from './setup.ts';

const NONE: readonly ModelAdapter[] = [];
/** of the slider; the field takes more */
const [LEAST, MOST] = [-1, 2];
const LIMIT = 100;
const KEYS = 'mod+shift+l';

/** The adapters of the model that answers: which of them are on in this conversation, and how strongly. */
export function AdapterControl({ chatId }: { chatId: string | null }) {
  const [open, setOpen] = useState(false);
  useCommands(useMemo(() => [{ id: 'chat.adapters', title: 'Adapters of this chat', group: 'Chat', icon: Blend, keys: KEYS, run: () => setOpen(true) }], []));
  const model = useCurrentModel();
  const rows = useRows(chatId, model?.id);
  if (!model) return null;
  const on = rows.filter((row) => row.on);
  const shown = on.length === 1 && on[0] ? on[0].name : `${on.length} on`;
  const trigger = (
    <Button
      size="small"
      variant="quiet"
      icon={Blend}
      aria-label={on.length === 0 ? 'Adapters' : `Adapters: ${shown}`}
      aria-keyshortcuts={ariaKeys(KEYS)}
      title="Adapters of this chat"
      className={on.length > 0 ? style.on : undefined}
    >
      {on.length === 0 ? 'Adapters' : shown}
    </Button>
  );
  return (
    <Popover trigger={trigger} label="Adapters" align="end" open={open} onOpenChange={setOpen}>
      <div className={style.body}>
        {rows.length === 0 ? (
          <p className={style.empty}>A LoRA adapter changes how {model.name} answers, and can be switched for every reply. None is there yet.</p>
        ) : (
          <ul className={style.rows}>
            {rows.map((row) => (
              <Row key={row.id} row={row} chatId={chatId} />
            ))}
          </ul>
        )}
        <AddAdapter modelId={model.id} />
      </div>
    </Popover>
  );
}

function useRows(chatId: string | null, modelId: string | undefined): AdapterRow[] {
  const { setup } = useChatSetup(chatId);
  const all = useAdapters((state) => state.adapters);
  return useMemo(() => {
    const known = new Set(Object.values(all).flatMap((adapters) => adapters.map(({ id }) => id)));
    return adapterRows((modelId && all[modelId]) || NONE, setup.parameters.adapters, known);
  }, [all, modelId, setup.parameters.adapters]);
}

function Row({ row, chatId }: { row: AdapterRow; chatId: string | null }) {
  const stores = useStores();
  const { setup, change } = useChatSetup(chatId);
  const rows = useRows(chatId, useCurrentModel()?.id);
  const [moving, setMoving] = useState<number | null>(null);
  const set = (scale: number) => {
    setMoving(null);
    change({ parameters: withParameter(setup.parameters, 'adapters', withAdapter(rows, setup.parameters.adapters, row.id, scale)) });
  };
  const problem = row.adapter?.problem;
  return (
    <li className={style.row}>
      <div className={style.head}>
        <Switch checked={row.on} onChange={(on) => set(on ? row.scale : 0)} aria-label={row.name} />
        <span className={style.name} title={row.adapter?.path}>
          {row.name}
        </span>
        {row.adapter && (
          <IconButton label={`Remove ${row.name}; its file stays`} icon={Trash2} size="small" onClick={() => void stores.adapters.getState().remove(row.id)} />
        )}
      </div>
      {row.adapter ? <Content adapter={row.adapter} /> : <p className={style.content}>Gone from the library. Switch it off to go on with this chat.</p>}
      {row.on && row.adapter && (
        <div className={style.scale}>
          <Slider
            aria-label={`Scale of ${row.name}, slider`}
            min={LEAST}
            max={MOST}
            step={0.05}
            value={moving ?? row.scale}
            onInput={setMoving}
            onCommit={set}
          />
          <NumberInput
            aria-label={`Scale of ${row.name}`}
            className={style.figure}
            value={moving ?? row.scale}
            min={-LIMIT}
            max={LIMIT}
            step={0.05}
            onCommit={(scale) => scale !== undefined && set(scale)}
          />
        </div>
      )}
      {problem && <ErrorNotice error={problem} advice={errorHelp(problem, stores).advice} />}
    </li>
  );
}

function Content({ adapter: { content } }: { adapter: ModelAdapter }) {
  const { loraRankLeast: least, loraRankMost: most, changesExperts, changesRouter, parameterCount, bytes } = content;
  const what = [changesExperts && 'experts', changesRouter && 'router'].filter(Boolean).join(' and ') || 'attention and dense layers only';
  const rank = least === most ? String(most) : `${least} to ${most}`;
  return (
    <p
      className={style.content}
      title={`${format.exact(parameterCount)} parameters in ${format.exact(content.tensorCount)} tensors, ${format.exact(bytes)} bytes`}
    >
      LoRA rank {rank} · {what} · {format.bytes(bytes)}
    </p>
  );
}
