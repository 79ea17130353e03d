// A reply's tokens; the chosen one's experts and weights in every layer.
import { ScanText } from 'lucide-react';
import { useState } from 'react';
import { type Message, toErrorBody } from '../../../main/contract/index.ts';
import { Button, EmptyState, ErrorNotice, format } from '../../components/index.ts';
import { navigate } from '../../shell/navigation.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useStores } from '../../stores/index.tsx';
import style from './experts.module.css';
import { ReplyPicker, useReplies } from './reply-picker.tsx';
import { TokenRoutes } from './token-routes.tsx';
import { TokenStrip } from './token-strip.tsx';
import { type Routes, useRoutes } from './use-routes.ts';

/** Without ids: the newest conversation, its last reply. */
export function TokenInspector({ chatId, messageId }: { chatId: string | null; messageId: string | null }) {
  const { chat, replies } = useReplies(chatId, messageId);
  const shown = messageId ?? replies?.at(-1)?.id;
  return (
    <div className={style.view}>
      <ReplyPicker chatId={chat} replies={replies} messageId={shown} />
      {shown ? <MessageTokens key={shown} messageId={shown} /> : <NoReply replies={chat ? replies : []} />}
    </div>
  );
}

/** `replies` null: they are being fetched. */
function NoReply({ replies }: { replies: readonly Message[] | null }) {
  if (replies === null) return null;
  return (
    <EmptyState icon={ScanText} title="No reply to inspect" action={<Button onClick={() => navigate('chat')}>Go to Chat</Button>}>
      Send a message, and every token of the reply shows here which experts each layer chose for it, and with what weight. Replies need “Record routes” in
      Settings.
    </EmptyState>
  );
}

function MessageTokens({ messageId }: { messageId: string }) {
  const stores = useStores();
  const { routes, error, more } = useRoutes(messageId);
  const [selected, setSelected] = useState<number | null>(null);
  if (error) return <ErrorNotice error={toErrorBody(error)} advice={errorHelp(toErrorBody(error), stores).advice} />;
  if (!routes) return <p className={style.waiting}>Reading the recorded routes…</p>;
  if (routes.total === 0)
    return <p className={style.waiting}>No routes were recorded for this reply. Switch on “Record routes” in Settings and regenerate it.</p>;
  const firstReply = routes.tokens.findIndex((token) => !token.prompt);
  const index = selected ?? Math.max(0, firstReply);
  const token = routes.tokens[index];
  return (
    <div className={style.inspector}>
      <TokenStrip tokens={routes.tokens} selected={index} onSelect={setSelected} note={<StripNote routes={routes} />} more={more} />
      {token && <TokenRoutes token={token} moeLayers={routes.moeLayers} />}
    </div>
  );
}

function StripNote({ routes }: { routes: Routes }) {
  const shown = routes.tokens.length < routes.total ? `${format.exact(routes.tokens.length)} of ` : '';
  return (
    <>
      {shown}
      {format.exact(routes.total)} tokens, those of the prompt dimmed. What was still in the KV cache was not evaluated again and has no experts here.
      {routes.omitted !== undefined && routes.omitted > 0 && (
        <strong> {format.exact(routes.omitted)} more tokens were evaluated; only the routes of the first are kept.</strong>
      )}
    </>
  );
}
