import type { FinishReason, LossyUses, Message } from '../../../main/contract/index.ts';
import { Badge, format } from '../../components/index.ts';
import type { LiveReply } from '../../stores/live.ts';
import style from './message-row.module.css';

const endings: Record<FinishReason, string> = {
  stop: 'ended by itself',
  stopString: 'stop string',
  length: 'length limit',
  contextFull: 'context full',
  cancelled: 'stopped',
};

/** Nothing when the modes were on and never took effect. */
function LossyBadge({ uses: { assignments, lowPrecision, skipped } }: { uses: LossyUses }) {
  if (lowPrecision + skipped === 0) return null;
  const parts = [
    ...(lowPrecision > 0 ? [`${format.percent(lowPrecision / assignments)} of experts at low precision`] : []),
    ...(skipped > 0 ? [`${format.percent(skipped / assignments)} left out`] : []),
  ];
  const uses = `${lowPrecision} at low precision and ${skipped} left out, of ${assignments} uses of an expert by a token`;
  return (
    <span>
      <Badge tone="warn" title={`${uses}: the answer may differ from the model's own`}>
        {parts.join(', ')}
      </Badge>
    </span>
  );
}

/** The quiet line under a reply: what it cost and how it ended; full precision on hover. */
export function MessageStatsLine({ message, live }: { message: Message; live: LiveReply | undefined }) {
  if (live) {
    return (
      <div className={style.stats}>
        {live.tokens > 0 && (
          <>
            <span>{format.rate(live.tokensPerSecond)}</span>
            <span>{format.exact(live.tokens)} tokens</span>
          </>
        )}
      </div>
    );
  }
  const { stats, finishReason } = message;
  if (!stats) return null;
  return (
    <div className={style.stats}>
      {stats.tokensPerSecond > 0 && <span title={`${format.exact(stats.tokensPerSecond)} tokens a second`}>{format.rate(stats.tokensPerSecond)}</span>}
      <span title={`${format.exact(stats.timeToFirstTokenMs)} ms from the request to the first token`}>
        first token {format.duration(stats.timeToFirstTokenMs)}
      </span>
      <span>
        {format.exact(stats.tokens)} {stats.tokens === 1 ? 'token' : 'tokens'}
      </span>
      <span title={`${format.exact(stats.promptTokensPerSecond)} prompt tokens a second; ${format.exact(stats.cachedTokens)} were still in the KV cache`}>
        prompt {format.exact(stats.promptTokens)}
        {stats.cachedTokens > 0 && ` (${format.exact(stats.cachedTokens)} cached)`}
      </span>
      <span>seed {stats.seed}</span>
      {stats.lossy && <LossyBadge uses={stats.lossy} />}
      {finishReason && <span>{endings[finishReason]}</span>}
    </div>
  );
}
