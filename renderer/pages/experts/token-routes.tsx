// One token's experts: a row a MoE layer, its experts by falling weight.
import { useMemo } from 'react';
import type { TokenRoute } from '../../../main/contract/index.ts';
import style from './experts.module.css';

export function TokenRoutes({ token, moeLayers }: { token: TokenRoute; moeLayers: readonly number[] }) {
  const largest = useMemo(() => Math.max(1e-9, ...token.weights.flat()), [token]);
  return (
    <section className={style.routes} aria-label={`Experts of token ${token.position}`}>
      <h2 aria-live="polite">
        Token {token.position} <code>{token.text === '' ? 'special' : JSON.stringify(token.text)}</code> <small>id {token.tokenId}</small>
      </h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, which must be possible by keyboard */}
      <div className={style.routesBody} tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Layer</th>
              <th scope="col">Experts, with the router’s weights</th>
            </tr>
          </thead>
          <tbody>
            {token.experts.map((experts, row) => (
              <tr key={moeLayers[row] ?? row}>
                <th scope="row">{moeLayers[row] ?? row}</th>
                <td>
                  {experts.every((expert) => expert < 0) ? (
                    <span className={style.waiting}>Not evaluated: the last layer runs only for tokens whose successor was asked for.</span>
                  ) : (
                    experts.map((expert, choice) => <ExpertBar key={expert} expert={expert} weight={token.weights[row]?.[choice] ?? 0} largest={largest} />)
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function ExpertBar({ expert, weight, largest }: { expert: number; weight: number; largest: number }) {
  return (
    <div className={style.bar} title={`expert ${expert}, weight ${weight}`}>
      <span className={style.expert}>{expert}</span>
      <span aria-hidden className={style.track}>
        <span style={{ width: `${(weight / largest) * 100}%` }} />
      </span>
      <span className={style.weight}>{weight.toFixed(3)}</span>
    </div>
  );
}
