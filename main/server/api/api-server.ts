// The OpenAI-compatible endpoint: one Fastify instance per listening port. Routes are added here; each has its own file.
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { type EngineStatus, type ModelCard, MoebiusError } from '../../contract/index.ts';
import type { Logger } from '../../engine/log.ts';
import { loopbackGuard } from '../request-guard.ts';
import { listenError } from '../web-server.ts';
import type { CompletionServices } from './chat-completions.ts';
import { chatCompletions } from './chat-completions.ts';
import { toApiError } from './errors.ts';
import { addressOf, listLora, setLora, toChoices } from './lora.ts';

const BODY_LIMIT = 16 * 1024 * 1024; // bytes; a long context as JSON

export interface ApiServerOptions extends CompletionServices {
  /** 0: any free one */
  port: number;
  cards(): ModelCard[];
  engineStatus(): EngineStatus;
  /** null: no key is required */
  keyMatches: ((key: string) => boolean) | null;
  logger: Logger;
}

export interface ApiServer {
  readonly port: number;
  readonly app: FastifyInstance;
  close(): Promise<void>;
}

/** Builds the routes without listening: tests use `app.inject`. */
export function buildApi(options: ApiServerOptions, port: () => number): FastifyInstance {
  const app = fastify({ logger: false, bodyLimit: BODY_LIMIT, genReqId: () => randomUUID(), requestTimeout: 60_000, forceCloseConnections: true });
  app.removeContentTypeParser('text/plain'); // JSON only: a page of another site can send text/plain without being asked
  app.addHook('onRequest', async (request) => authorise(request, options, port));
  app.setErrorHandler((error, request, reply) => {
    const known = asUserError(error);
    if (!(known instanceof MoebiusError)) options.logger.error(`${request.url} failed unexpectedly: ${error instanceof Error ? error.stack : String(error)}`);
    const { status, body, retryAfter } = toApiError(known);
    if (retryAfter !== null) reply.header('retry-after', retryAfter);
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler(async (request) => {
    throw new MoebiusError('request.unknown-method', `There is no ${request.method} ${request.url} here.`);
  });
  app.get('/health', async () => health(options));
  app.get('/v1/models', async () => ({ object: 'list', data: usable(options).flatMap((card) => [toApiModel(card), ...toApiAdapters(options, card)]) }));
  app.get<{ Params: { model: string } }>('/v1/models/:model', async ({ params }) => apiModel(options, params.model));
  app.get('/lora-adapters', async ({ query }) => listLora(options.adapters, options.models, query));
  app.post('/lora-adapters', async ({ query, body }) => setLora(options.adapters, options.models, query, body));
  app.post('/v1/chat/completions', (request, reply) => chatCompletions(options, request, reply));
  return app;
}

/** Listens on 127.0.0.1 only. Rejects with MoebiusError when the port is taken. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  let port = options.port;
  const app = buildApi(options, () => port);
  try {
    await app.listen({ host: '127.0.0.1', port: options.port });
  } catch (error) {
    throw listenError(error, options.port);
  }
  port = (app.server.address() as AddressInfo).port; // a TCP server that listens has an AddressInfo
  return { port, app, close: () => app.close() };
}

function authorise(request: FastifyRequest, options: ApiServerOptions, port: () => number): void {
  const { host, origin, authorization } = request.headers;
  // app.inject has no port of its own, so its tests set the Host header as a client would
  if (!loopbackGuard(port).allows(host, origin)) {
    throw new MoebiusError(
      'auth.forbidden',
      `Requests must come from this machine and name it: Host ${host ?? '(none)'}, Origin ${origin ?? '(none)'} are not allowed.`,
    );
  }
  if (options.keyMatches === null || request.url === '/health') return;
  const key = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1] ?? '';
  if (!options.keyMatches(key))
    throw new MoebiusError('auth.missing', 'The API key is missing or wrong. Send it as "Authorization: Bearer KEY"; it is set in Settings.');
}

/** Fastify's own refusals (bad JSON, too large, wrong content type) as ours, with their HTTP status kept. */
function asUserError(error: unknown): unknown {
  if (error instanceof MoebiusError || !(error instanceof Error)) return error;
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  return status < 500 ? new HttpRefusal(error.message, status) : error;
}

class HttpRefusal extends MoebiusError {
  readonly #status: number;

  constructor(message: string, status: number) {
    super('request.invalid', message);
    this.#status = status;
  }

  override get status(): number {
    return this.#status;
  }
}

function health(options: ApiServerOptions) {
  const { state } = options.engineStatus();
  return { status: state === 'ready' ? 'ok' : state, models: options.models.loadedIds() };
}

const usable = (options: ApiServerOptions) => options.cards().filter((card) => card.problem === null);

function findModel(options: ApiServerOptions, id: string): ModelCard {
  const cards = usable(options);
  const card = cards.find((candidate) => candidate.id === id);
  if (card) return card;
  const names = cards.map((candidate) => candidate.id).join(', ') || 'none';
  throw new MoebiusError('model.not-found', `There is no model "${id}". Available: ${names}.`, { details: { param: 'model' } });
}

function apiModel(options: ApiServerOptions, id: string) {
  const address = addressOf(id);
  const card = findModel(options, address.modelId);
  if (address.adapterId === null) return toApiModel(card);
  const [choice] = toChoices(options.adapters, address, undefined) ?? [];
  return toApiAdapters(options, card).find((model) => model.id === `${card.id}:${choice?.id}`);
}

/** Each adapter is a model of its own, with the model that it belongs to as its parent. */
function toApiAdapters(options: ApiServerOptions, card: ModelCard) {
  return options.adapters.list(card.id).map((adapter) => ({ ...toApiModel(card), id: `${card.id}:${adapter.id}`, parent: card.id, root: adapter.path }));
}

function toApiModel(card: ModelCard) {
  const { inspection, state } = card;
  return {
    id: card.id,
    object: 'model',
    created: Math.floor(card.addedAt / 1000),
    owned_by: 'moebius',
    loaded: state.state === 'loaded',
    ...(inspection && {
      meta: {
        architecture: inspection.architecture,
        n_params: inspection.parameterCount,
        n_params_active: inspection.activeParameterCount,
        n_ctx_train: inspection.contextLength,
        n_expert: inspection.expertCount,
        n_expert_used: inspection.expertUsedCount,
        size: card.bytes,
      },
    }),
  };
}
