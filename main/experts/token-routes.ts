// Turns stored rows into what the token inspector shows.
import { MoebiusError, type TokenRoute } from '../contract/index.ts';
import type { StoredRoutes } from './expert-store.ts';
import { decodeRecord, NOT_COMPUTED, type RouteRecord, type RouteShape } from './route-record.ts';

/** The tokens of a row that lie in offset .. offset+limit-1. */
export function tokenRoutes(row: StoredRoutes, shape: RouteShape, offset: number, limit: number): TokenRoute[] {
  const decoded = decodeRecord(row.record, shape);
  if (decoded.status !== 'record') {
    const reason = decoded.status === 'corrupt' ? decoded.reason : 'it ends too early';
    throw new MoebiusError(
      'file.corrupt',
      `The routes of tokens ${row.first_token} to ${row.first_token + row.token_count - 1} are damaged: ${reason}. Generate the reply again.`,
    );
  }
  const texts = JSON.parse(row.texts) as string[]; // written by ExpertStore
  const start = Math.max(0, offset - row.first_token);
  const end = Math.min(row.token_count, offset + limit - row.first_token);
  return Array.from({ length: end - start }, (_, index) => tokenRoute(decoded.record, shape, start + index, texts[start + index] ?? '', row.prompt === 1));
}

function tokenRoute(record: RouteRecord, shape: RouteShape, index: number, text: string, prompt: boolean): TokenRoute {
  const { layerCount, expertUsedCount } = shape;
  const layers = Array.from({ length: layerCount }, (_, layer) => {
    const start = (index * layerCount + layer) * expertUsedCount;
    const chosen = Array.from({ length: expertUsedCount }, (_, k) => ({
      expert: record.experts[start + k] ?? NOT_COMPUTED,
      weight: record.weights[start + k] ?? 0,
    }));
    return chosen.sort((a, b) => b.weight - a.weight);
  });
  return {
    position: record.firstPosition + index,
    tokenId: record.tokenIds[index] ?? 0,
    text,
    prompt,
    experts: layers.map((chosen) => chosen.map(({ expert }) => (expert === NOT_COMPUTED ? -1 : expert))),
    weights: layers.map((chosen) => chosen.map(({ weight }) => weight)),
  };
}
