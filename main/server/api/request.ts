// The OpenAI chat-completions request, as its clients send it. Fields we do not know are ignored (clients send many); fields we know but
// cannot honour are refused, so that nothing is silently not done.
import { z } from 'zod';
import { type EngineMessage, type GenerateParameters, MoebiusError, type Sampling } from '../../contract/index.ts';
import { describeIssues } from '../../rpc/dispatcher.ts';
import { LoraList } from './lora.ts';

const TextPart = z.object({ type: z.literal('text'), text: z.string() });
const Content = z.union([z.string(), z.array(TextPart)]).nullish();
const ToolCall = z.object({ id: z.string(), type: z.literal('function').default('function'), function: z.object({ name: z.string(), arguments: z.string() }) });

const Message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: Content,
  reasoning_content: z.string().nullish(),
  name: z.string().nullish(),
  tool_calls: z.array(ToolCall).nullish(),
  tool_call_id: z.string().nullish(),
});

const Tool = z.object({
  type: z.literal('function'),
  function: z.object({
    name: z.string().min(1),
    description: z.string().default(''),
    parameters: z.record(z.string(), z.unknown()).default({ type: 'object', properties: {} }),
  }),
});

const ResponseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({ type: z.literal('json_schema'), json_schema: z.object({ name: z.string().optional(), schema: z.record(z.string(), z.unknown()) }) }),
]);

const nullable = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

export const ChatCompletionRequest = z.object({
  model: z.string().min(1),
  messages: z.array(Message).min(1),
  stream: nullable(z.boolean()),
  stream_options: nullable(z.object({ include_usage: z.boolean().optional() })),
  max_tokens: nullable(z.number().int().min(1)),
  max_completion_tokens: nullable(z.number().int().min(1)),
  stop: nullable(
    z.union([
      z
        .string()
        .min(1)
        .transform((text) => [text]),
      z.array(z.string().min(1)).max(16),
    ]),
  ),
  seed: nullable(z.number().int()),
  temperature: nullable(z.number().min(0).max(10)),
  top_p: nullable(z.number().min(0).max(1)),
  presence_penalty: nullable(z.number().min(-2).max(2)),
  frequency_penalty: nullable(z.number().min(-2).max(2)),
  logit_bias: nullable(z.record(z.string().regex(/^\d+$/, 'token ids are whole numbers'), z.number().min(-100).max(100))),
  logprobs: nullable(z.boolean()),
  top_logprobs: nullable(z.number().int().min(0).max(20)),
  n: nullable(z.literal(1, 'only n = 1 is supported: send one request per choice')),
  response_format: nullable(ResponseFormat),
  tools: nullable(z.array(Tool)),
  tool_choice: nullable(z.enum(['auto', 'none', 'required'])),
  // llama.cpp's names for what OpenAI has not
  top_k: nullable(z.number().int().min(0)),
  min_p: nullable(z.number().min(0).max(1)),
  typical_p: nullable(z.number().min(0).max(1)),
  repeat_penalty: nullable(z.number().min(0).max(10)),
  repeat_last_n: nullable(z.number().int().min(-1)),
  dry_multiplier: nullable(z.number().min(0).max(100)),
  mirostat: nullable(z.union([z.literal(0), z.literal(1), z.literal(2)])),
  mirostat_tau: nullable(z.number().min(0).max(20)),
  mirostat_eta: nullable(z.number().min(0).max(1)),
  grammar: nullable(z.string()),
  /** adapters that are on, as llama-server takes them; others are off */
  lora: nullable(LoraList),
});
export type ChatCompletionRequest = z.output<typeof ChatCompletionRequest>;

/** Throws MoebiusError `request.invalid`; `details.param` names the first field at fault. */
export function parseChatCompletionRequest(body: unknown): ChatCompletionRequest {
  const parsed = ChatCompletionRequest.safeParse(body);
  if (parsed.success) return parsed.data;
  const [first] = parsed.error.issues;
  throw new MoebiusError('request.invalid', describeIssues(parsed.error), { details: { param: first?.path.join('.') || null } });
}

export function toMessages(request: ChatCompletionRequest): EngineMessage[] {
  return request.messages.map((message) => ({
    role: message.role === 'developer' ? 'system' : message.role,
    content: typeof message.content === 'string' ? message.content : (message.content ?? []).map((part) => part.text).join(''),
    ...(message.reasoning_content ? { reasoningContent: message.reasoning_content } : {}),
    ...(message.name ? { name: message.name } : {}),
    ...(message.tool_call_id ? { toolCallId: message.tool_call_id } : {}),
    ...(message.tool_calls
      ? { toolCalls: message.tool_calls.map((call) => ({ id: call.id, name: call.function.name, arguments: call.function.arguments })) }
      : {}),
  }));
}

const UINT32 = 2 ** 32;

export function toSampling(request: ChatCompletionRequest, defaults: Sampling): Sampling {
  const format = request.response_format;
  const asked: Sampling = {
    seed: request.seed === undefined ? undefined : ((request.seed % UINT32) + UINT32) % UINT32,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    typicalP: request.typical_p,
    repeatPenalty: request.repeat_penalty,
    repeatLastN: request.repeat_last_n,
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    dryMultiplier: request.dry_multiplier,
    mirostat: request.mirostat,
    mirostatTau: request.mirostat_tau,
    mirostatEta: request.mirostat_eta,
    grammar: request.grammar,
    logitBias: request.logit_bias && Object.entries(request.logit_bias).map(([token, bias]) => ({ token: Number(token), bias })),
    jsonSchema: format?.type === 'json_schema' ? format.json_schema.schema : format?.type === 'json_object' ? { type: 'object' } : undefined,
  };
  return { ...defaults, ...Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined)) };
}

/** The part of a generation that the request decides besides input and sampling. */
export function toLimits(request: ChatCompletionRequest): Pick<GenerateParameters, 'maxTokens' | 'stop' | 'logprobs' | 'overflow'> {
  return {
    maxTokens: request.max_completion_tokens ?? request.max_tokens,
    stop: request.stop,
    logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
    overflow: 'stop',
  };
}
