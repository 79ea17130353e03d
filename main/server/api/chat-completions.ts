// POST /v1/chat/completions: the same generation path as the chat page.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ModelCard, MoebiusError } from '../../contract/index.ts';
import type { TokenPiece } from '../../engine/engine.ts';
import type { Generation, GenerationHandlers, GenerationOutcome, GenerationRequest, Generations, LoadedModels } from '../../generation/generation.ts';
import { chunk, completionObject, finishReason, logprobsContent, newIdentity, toToolCalls, usageChunk } from './completion.ts';
import { toApiError } from './errors.ts';
import { EventStream } from './event-stream.ts';
import { type ApiAdapters, addressOf, toChoices } from './lora.ts';
import { type ChatCompletionRequest, parseChatCompletionRequest, toLimits, toMessages, toSampling } from './request.ts';

export interface CompletionServices {
  generations: Generations;
  models: LoadedModels;
  adapters: ApiAdapters;
}

export async function chatCompletions(services: CompletionServices, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const body = parseChatCompletionRequest(request.body);
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort()); // also fires when the reply is complete: aborting is then without effect
  const address = addressOf(body.model);
  const { card } = await services.models.acquire(address.modelId, gone.signal);
  const adapters = toChoices(services.adapters, address, body.lora);
  const start = (handlers: GenerationHandlers): Generation => {
    const generation = services.generations.start({ ...toGenerationRequest(body, card), adapters }, handlers);
    if (gone.signal.aborted) generation.cancel();
    gone.signal.addEventListener('abort', () => generation.cancel(), { once: true });
    return generation;
  };
  if (body.stream) return streamCompletion(start, body, reply);
  const tokens: TokenPiece[] = [];
  const collect = body.logprobs ? { onTokens: (batch: TokenPiece[]) => void tokens.push(...batch) } : {};
  const outcome = await start(collect).done;
  return completionObject(newIdentity(body.model), outcome, tokens);
}

function toGenerationRequest(body: ChatCompletionRequest, card: ModelCard): GenerationRequest {
  const tools = body.tools?.map((tool) => tool.function);
  const limits = toLimits(body);
  return {
    modelId: card.id,
    input: { chat: { messages: toMessages(body), tools, toolChoice: body.tool_choice } },
    sampling: toSampling(body, card.defaults.sampling ?? {}),
    ...limits,
    maxTokens: limits.maxTokens ?? card.defaults.maxTokens,
  };
}

async function streamCompletion(start: (handlers: GenerationHandlers) => Generation, body: ChatCompletionRequest, reply: FastifyReply): Promise<FastifyReply> {
  const identity = newIdentity(body.model);
  reply.hijack();
  let generation: Generation | null = null;
  const stream = new EventStream(reply.raw, () => generation?.cancel());
  const openOnce = () => {
    if (stream.opened) return;
    stream.open();
    stream.send(chunk(identity, { role: 'assistant', content: '' }));
  };
  // With tools the text may turn out to be a call, which only the whole reply tells.
  const textAtOnce = body.tools === undefined;
  const onTokens = (tokens: TokenPiece[]) => {
    openOnce();
    const text = tokens.map((token) => token.text).join('');
    if (textAtOnce && (text !== '' || body.logprobs)) stream.send(chunk(identity, { content: text }, null, logprobsContent(tokens)));
  };
  try {
    generation = start({ onTokens });
    const outcome = await generation.done;
    openOnce();
    sendEnd(stream, identity, outcome, textAtOnce, body.stream_options?.include_usage === true);
  } catch (error) {
    sendFailure(stream, reply, error);
  }
  return reply;
}

function sendEnd(stream: EventStream, identity: ReturnType<typeof newIdentity>, outcome: GenerationOutcome, textAtOnce: boolean, withUsage: boolean): void {
  const toolCalls = outcome.message?.toolCalls ?? [];
  const content = outcome.message?.content ?? outcome.text;
  if (!textAtOnce && content !== '') stream.send(chunk(identity, { content }));
  const calls = toToolCalls(toolCalls).map((call, index) => ({ index, ...call }));
  stream.send(chunk(identity, calls.length > 0 ? { tool_calls: calls } : {}, finishReason(outcome.finishReason, toolCalls)));
  if (withUsage) stream.send(usageChunk(identity, outcome));
  stream.end();
}

/** Before the first token an ordinary error response; after it an error event, as OpenAI's clients expect. */
function sendFailure(stream: EventStream, reply: FastifyReply, error: unknown): void {
  const { status, body, retryAfter } = toApiError(error instanceof Error ? error : new MoebiusError('internal', String(error)));
  if (stream.opened) {
    stream.send(body);
    stream.abort();
    return;
  }
  reply.raw.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...(retryAfter === null ? {} : { 'retry-after': String(retryAfter) }) });
  reply.raw.end(JSON.stringify(body));
}
