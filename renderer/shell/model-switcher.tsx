import { Check, ChevronDown, Power } from 'lucide-react';
import { useRef, useState } from 'react';
import type { ModelCard } from '../../main/contract/index.ts';
import { ariaKeys, Badge, Button, classes, format, IconButton, Popover, TextInput } from '../components/index.ts';
import { useModels, useStores } from '../stores/index.tsx';
import { isLoaded } from '../stores/models.ts';
import { useChooseModel } from './current-model.ts';
import style from './model-switcher.module.css';
import { navigate } from './navigation.ts';

const SEARCH_FROM = 7;

interface ModelSwitcherProps {
  current: ModelCard | undefined;
  open: boolean;
  onOpenChange: (open: boolean) => void;
}

/** The name of the model that answers; pressed, the list of all of them. */
export function ModelSwitcher({ current, open, onOpenChange }: ModelSwitcherProps) {
  const trigger = (
    <button type="button" className={style.trigger} aria-keyshortcuts={ariaKeys('mod+shift+m')} title="Choose a model">
      <span className={classes(style.lamp, current && isLoaded(current) && style.on)} aria-hidden />
      <span className={style.name}>{current?.name ?? 'Choose a model'}</span>
      <ChevronDown size={14} aria-hidden />
    </button>
  );
  return (
    <Popover trigger={trigger} label="Models" open={open} onOpenChange={onOpenChange}>
      <ModelList current={current} onDone={() => onOpenChange(false)} />
    </Popover>
  );
}

function ModelList({ current, onDone }: { current: ModelCard | undefined; onDone: () => void }) {
  const models = useModels((state) => state.models) ?? [];
  const choose = useChooseModel();
  const [query, setQuery] = useState('');
  const list = useRef<HTMLUListElement>(null);
  const shown = models.filter((card) => card.name.toLowerCase().includes(query.trim().toLowerCase()));
  const move = (event: React.KeyboardEvent) => moveFocus(event, list.current);
  return (
    // Arrow keys walk the rows as Tab does; the list stays a list of buttons.
    <div className={style.panel} onKeyDown={move} role="none">
      {models.length >= SEARCH_FROM && (
        <TextInput aria-label="Find a model" placeholder="Find a model" value={query} onChange={(event) => setQuery(event.target.value)} />
      )}
      <ul className={style.list} ref={list}>
        {shown.map((card) => (
          <ModelRow
            key={card.id}
            card={card}
            current={card.id === current?.id}
            onChoose={() => {
              choose(card);
              onDone();
            }}
          />
        ))}
      </ul>
      {shown.length === 0 && <p className={style.none}>{models.length === 0 ? 'No model yet.' : 'No model of that name.'}</p>}
      <div className={style.foot}>
        <Button
          size="small"
          variant="quiet"
          onClick={() => {
            navigate('models');
            onDone();
          }}
        >
          All models, downloads and load options
        </Button>
      </div>
    </div>
  );
}

function ModelRow({ card, current, onChoose }: { card: ModelCard; current: boolean; onChoose: () => void }) {
  const { models } = useStores();
  const { inspection } = card;
  return (
    <li className={style.row}>
      <button type="button" className={style.choose} onClick={onChoose} disabled={card.problem !== null} aria-current={current || undefined} data-row>
        <Check size={14} aria-hidden className={classes(style.check, current && style.current)} />
        <span className={style.rowText}>
          <span className={style.rowName}>{card.name}</span>
          <span className={style.rowFacts}>
            {card.problem
              ? card.problem.message
              : inspection
                ? `${format.count(inspection.parameterCount)} · ${inspection.fileType} · ${format.bytes(card.bytes)}`
                : format.bytes(card.bytes)}
          </span>
        </span>
        <StateBadge card={card} />
      </button>
      {isLoaded(card) && <IconButton label={`Unload ${card.name}`} icon={Power} size="small" onClick={() => void models.getState().unload(card.id)} />}
    </li>
  );
}

function StateBadge({ card }: { card: ModelCard }) {
  if (card.problem) return <Badge tone="bad">unusable</Badge>;
  if (card.state.state === 'loaded') return <Badge tone="good">loaded</Badge>;
  if (card.state.state === 'loading') return <Badge tone="accent">loading {format.percent(card.state.fraction)}</Badge>;
  if (card.state.state === 'failed') return <Badge tone="bad">failed</Badge>;
  return null;
}

function moveFocus(event: React.KeyboardEvent, list: HTMLElement | null): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step === 0 || !list) return;
  event.preventDefault();
  const rows: Element[] = [...list.querySelectorAll('[data-row]:not(:disabled)')];
  const focused = document.activeElement;
  const at = focused ? rows.indexOf(focused) : -1;
  const next = rows[(at + step + rows.length) % rows.length];
  if (next instanceof HTMLElement) next.focus();
}
