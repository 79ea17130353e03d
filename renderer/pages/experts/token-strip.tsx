// Tokens in their order, as one control: arrow keys go from token to token.
import { type KeyboardEvent, memo, type ReactNode, useCallback, useEffect, useRef } from 'react';
import type { TokenRoute } from '../../../main/contract/index.ts';
import { Button, classes } from '../../components/index.ts';
import style from './experts.module.css';

interface TokenStripProps {
  tokens: readonly TokenRoute[];
  /** index in `tokens` */
  selected: number;
  onSelect: (index: number) => void;
  note: ReactNode;
  /** null: there are no more */
  more: (() => void) | null;
}

const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, Home: Number.NEGATIVE_INFINITY, End: Number.POSITIVE_INFINITY };

export function TokenStrip({ tokens, selected, onSelect, note, more }: TokenStripProps) {
  const list = useRef<HTMLDivElement>(null);
  const moved = useRef(false);
  const move = (event: KeyboardEvent) => {
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    moved.current = true;
    onSelect(Math.max(0, Math.min(tokens.length - 1, selected + step)));
  };
  // The focus follows the keys, once the chosen token is the one that takes it.
  // biome-ignore lint/correctness/useExhaustiveDependencies: after every choice
  useEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    list.current?.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
  }, [selected]);
  return (
    <fieldset className={style.tokens}>
      <legend>{note}</legend>
      <div ref={list} role="toolbar" aria-label="Tokens" onKeyDown={move}>
        {tokens.map((token, index) => (
          <TokenButton key={token.position} token={token} index={index} selected={index === selected} onSelect={onSelect} />
        ))}
      </div>
      {more && (
        <Button size="small" className={style.more} onClick={more}>
          Show more tokens
        </Button>
      )}
    </fieldset>
  );
}

/** Spaces and line breaks as signs; special tokens have no text. */
function visible({ text, tokenId }: TokenRoute): string {
  if (text === '') return `<${tokenId}>`;
  return text.replace(/\n/g, '⏎').replace(/\t/g, '⇥').replace(/ /g, '·');
}

interface TokenButtonProps {
  token: TokenRoute;
  index: number;
  selected: boolean;
  onSelect: (index: number) => void;
}

const TokenButton = memo(function TokenButton({ token, index, selected, onSelect }: TokenButtonProps) {
  const select = useCallback(() => onSelect(index), [onSelect, index]);
  const name = token.text === '' ? `special token, id ${token.tokenId}` : JSON.stringify(token.text);
  return (
    <>
      <button
        type="button"
        tabIndex={selected ? 0 : -1}
        aria-pressed={selected}
        aria-label={`Token ${token.position}: ${name}`}
        className={classes(style.token, token.prompt && style.promptToken)}
        title={`position ${token.position}, id ${token.tokenId}${token.prompt ? ', of the prompt' : ''}`}
        onClick={select}
      >
        {visible(token)}
      </button>
      {token.text.includes('\n') && <br />}
    </>
  );
});
