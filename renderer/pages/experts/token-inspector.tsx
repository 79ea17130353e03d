// A reply's tokens; the chosen one's experts and weights in every layer.
import { ScanText } from 'lucide-react';
import { type KeyboardEvent, useEffect, useMemo, useState } from 'react';
import { type Chat, type Result, type TokenRoute, toErrorBody } from '../../../main/contract/index.ts';
import { EmptyState, ErrorNotice, format, Select } from '../../components/index.ts';
import { navigate } from '../../shell/navigation.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useChats, useStores } from '../../stores/index.tsx';
import style from './experts.module.css';
import { TokenRoutes } from './token-routes.tsx';

const PAGE = 2048;
type Routes = Result<'experts.tokens'>;

export function TokenInspector({ messageId }: { messageId: string | null }) {
  return (
    <div className={style.view}>
      <ReplyPicker messageId={messageId} />
      {messageId ? (
        <MessageTokens key={messageId} messageId={messageId} />
      ) : (
        <EmptyState icon={ScanText} title="No reply chosen">
          Choose a conversation and one of its replies above, or press “Inspect tokens” under a reply in the chat. Every token then shows which experts each
          layer chose for it, and with what weight.
        </EmptyState>
      )}
    </div>
  );
}

/** Replies of a conversation that have recorded routes. */
function ReplyPicker({ messageId }: { messageId: string | null }) {
  const { client, notices } = useStores();
  const chats = useChats((state) => state.chats);
  const [chat, setChat] = useState<Chat | null>(null);
  const open = (id: string) => {
    client.call('chats.get', { id }).then(setChat, (error: unknown) => notices.getState().error(error));
  };
  const replies = (chat?.messages ?? []).filter((message) => message.role === 'assistant' && message.hasRoutes);
  const label = (text: string) => text.replace(/\s+/g, ' ').slice(0, 60) || '(empty)';
  return (
    <div className={style.controls}>
      <Select
        aria-label="Conversation"
        value={chat?.id}
        onChange={open}
        placeholder="Conversation"
        options={(chats ?? []).map(({ id, title }) => ({ value: id, label: title }))}
      />
      {chat && replies.length === 0 && <span className={style.waiting}>No reply of this conversation has recorded routes (Settings, “Record routes”).</span>}
      {replies.length > 0 && (
        <Select
          aria-label="Reply"
          value={replies.some(({ id }) => id === messageId) ? (messageId ?? undefined) : undefined}
          onChange={(id) => navigate('experts', ['tokens'], { message: id })}
          placeholder="Reply"
          options={replies.map(({ id, text }) => ({ value: id, label: label(text) }))}
        />
      )}
    </div>
  );
}

function useRoutes(messageId: string): { routes: Routes | null; error: unknown; more: (() => void) | null } {
  const { client } = useStores();
  const [routes, setRoutes] = useState<Routes | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [wanted, setWanted] = useState(PAGE);
  useEffect(() => {
    let current = true;
    client.call('experts.tokens', { messageId, offset: 0, limit: Math.min(4096, wanted) }).then(
      (result) => current && setRoutes(result),
      (thrown: unknown) => current && setError(thrown),
    );
    return () => {
      current = false;
    };
  }, [client, messageId, wanted]);
  const more = routes && routes.tokens.length < routes.total && wanted < 4096 ? () => setWanted(4096) : null;
  return { routes, error, more };
}

function MessageTokens({ messageId }: { messageId: string }) {
  const stores = useStores();
  const { routes, error, more } = useRoutes(messageId);
  const firstReply = useMemo(() => routes?.tokens.findIndex((token) => !token.prompt) ?? -1, [routes]);
  const [selected, setSelected] = useState<number | null>(null);
  if (error) return <ErrorNotice error={toErrorBody(error)} advice={errorHelp(toErrorBody(error), stores).advice} />;
  if (!routes) return <p className={style.waiting}>Reading the recorded routes…</p>;
  if (routes.total === 0)
    return <p className={style.waiting}>No routes were recorded for this reply. Switch on “Record routes” in Settings and regenerate it.</p>;
  const index = selected ?? Math.max(0, firstReply);
  const token = routes.tokens[index];
  const move = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(routes.tokens.length - 1, index + step));
    setSelected(next);
    document.getElementById(tokenId(next))?.focus();
  };
  return (
    <div className={style.inspector}>
      <fieldset className={style.tokens} onKeyDown={move}>
        <legend>
          {format.exact(routes.total)} tokens; those of the prompt are dimmed. Tokens from the prefix cache were not evaluated again and are not listed.
        </legend>
        {routes.tokens.map((one, position) => (
          <TokenButton key={one.position} token={one} position={position} selected={position === index} onSelect={setSelected} />
        ))}
        {more && (
          <button type="button" className={style.more} onClick={more}>
            Show more
          </button>
        )}
      </fieldset>
      {token && <TokenRoutes token={token} moeLayers={routes.moeLayers} />}
    </div>
  );
}

const tokenId = (position: number) => `token-${position}`;

function visible(text: string): string {
  return text.replace(/\n/g, '⏎').replace(/\t/g, '⇥').replace(/ /g, '·') || '∅';
}

function TokenButton({
  token,
  position,
  selected,
  onSelect,
}: {
  token: TokenRoute;
  position: number;
  selected: boolean;
  onSelect: (position: number) => void;
}) {
  return (
    <>
      <button
        type="button"
        id={tokenId(position)}
        tabIndex={selected ? 0 : -1}
        aria-pressed={selected}
        aria-label={`Token ${token.position}: ${JSON.stringify(token.text)}`}
        className={token.prompt ? `${style.token} ${style.promptToken}` : style.token}
        title={`position ${token.position}, id ${token.tokenId}`}
        onClick={() => onSelect(position)}
      >
        {visible(token.text)}
      </button>
      {token.text.includes('\n') && <br />}
    </>
  );
}
