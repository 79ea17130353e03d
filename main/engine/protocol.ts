// Every method of moebius-engine, typed. Frames and threads: native/rpc/README.md.
import { z } from 'zod';
import { ADAPTERS_MOST, AdapterUse, loadedAdapterMethods } from './adapter-protocol.ts';
import { DeviceReplayParameters, DeviceReplayResult } from './device-replay-protocol.ts';
import { ExpertDeviceBudget, ExpertDevices, ReplicaPrecision } from './expert-devices-protocol.ts';
import {
  ExpertPlacement,
  ExpertPolicyChoice,
  ExpertPrefetch,
  ExpertStore,
  LayoutWritten,
  PlacementChange,
  SlotAllocation,
  SuperExpert,
} from './expert-placement-protocol.ts';
import { Calibration, LossyExperts, LossyUses } from './lossy-protocol.ts';
import { planParameters, planResult } from './plan-protocol.ts';
import { ChoiceParameters, ChoiceResult, ReplayParameters, ReplayResult } from './replay-protocol.ts';
import { trainEstimateMethods } from './train-estimate-protocol.ts';
import { trainMethods } from './train-protocol.ts';

export * from './adapter-protocol.ts';
export * from './device-replay-protocol.ts';
export * from './expert-devices-protocol.ts';
export * from './expert-placement-protocol.ts';
export * from './lossy-protocol.ts';
export { Rig, SpeedForecast } from './plan-protocol.ts';
export * from './replay-protocol.ts';
export * from './train-estimate-protocol.ts';
export * from './train-protocol.ts';

export const PROTOCOL_VERSION = 1;

export const DeviceKind = z.enum(['cpu', 'gpu', 'igpu', 'accel']);
export const Device = z.object({
  /** llama.cpp's name, unique: `CPU`, `Vulkan0`, `CUDA1`, `Metal`; of another machine `RPC0@host:port`. */
  id: z.string(),
  description: z.string(),
  kind: DeviceKind,
  /** ggml backend: `CPU`, `Vulkan`, `CUDA`, `Metal`, `RPC`. */
  backend: z.string(),
  /** bytes */
  memoryFree: z.number(),
  /** bytes */
  memoryTotal: z.number(),
  /** used by models unless told otherwise: each GPU of this machine, once */
  default: z.boolean(),
});
export type Device = z.infer<typeof Device>;

/** host:port; a name or an IPv4 address */
export const MachineEndpoint = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,253}:[0-9]{1,5}$/, 'give host:port, as in 192.168.1.20:50052')
  .refine((endpoint) => Number(endpoint.split(':')[1]) >= 1 && Number(endpoint.split(':')[1]) <= 65535, 'the port must be 1 to 65535');

/** Machines that run `moebius rpc-server` and are used by this engine. */
export const RemoteMachines = z.object({
  machines: z.array(
    z.object({
      /** host:port */
      endpoint: z.string(),
      devices: z.array(z.string()),
      /** why it cannot be used any more; null: it can */
      lost: z.string().nullable(),
    }),
  ),
});
export type RemoteMachines = z.infer<typeof RemoteMachines>;

export const Initialized = z.object({
  engineVersion: z.string(),
  protocolVersion: z.number().int(),
  /** llama.cpp's version string as the loaded library reports it. */
  llamaVersion: z.string(),
  /** ggml backends that loaded, e.g. `["CPU","Vulkan"]`. */
  backends: z.array(z.string()),
  /** Backends that were found but not used, with the reason. */
  backendProblems: z.array(z.object({ library: z.string(), reason: z.string() })),
  processId: z.number().int(),
});
export type Initialized = z.infer<typeof Initialized>;

/** Tensor classes of a MoE model. `sharedExperts` are always active; `router` is `ffn_gate_inp`. */
export const TensorClass = z.enum(['embedding', 'output', 'attention', 'router', 'experts', 'sharedExperts', 'denseFfn', 'norm', 'other']);
export type TensorClass = z.infer<typeof TensorClass>;

export const Inspection = z.object({
  /** absolute; the first part of a split model */
  path: z.string(),
  /** all parts, in order */
  files: z.array(z.object({ path: z.string(), bytes: z.number() })),
  bytes: z.number(),
  ggufVersion: z.number().int(),
  architecture: z.string(),
  name: z.string(),
  license: z.string().nullable(),
  description: z.string().nullable(),
  layerCount: z.number().int(),
  /** block indices that have routed experts */
  moeLayers: z.array(z.number().int()),
  expertCount: z.number().int(),
  expertUsedCount: z.number().int(),
  sharedExpertCount: z.number().int(),
  embeddingLength: z.number().int(),
  expertFeedForwardLength: z.number().int(),
  headCount: z.number().int(),
  headCountKv: z.number().int(),
  vocabularySize: z.number().int(),
  /** context that the metadata states, tokens */
  contextLength: z.number().int(),
  parameterCount: z.number(),
  /** parameters that one token touches */
  activeParameterCount: z.number(),
  /** bytes of one expert of one layer (gate + up + down), the largest */
  bytesPerExpert: z.number(),
  /** file type as the metadata names it, e.g. `Q8_0`, `Q4_K - Medium` */
  fileType: z.string(),
  quantisation: z.array(
    z.object({
      tensorClass: TensorClass,
      tensorCount: z.number().int(),
      parameterCount: z.number(),
      bytes: z.number(),
      types: z.array(z.object({ type: z.string(), tensorCount: z.number().int(), bytes: z.number() })),
    }),
  ),
  chatTemplate: z.string().nullable(),
  tokenizer: z.string(),
  /** scalar metadata, and arrays as `[n x type]`, for display */
  metadata: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});
export type Inspection = z.infer<typeof Inspection>;

export const KvType = z.enum(['f32', 'f16', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0']);

export const LoadOptions = z.strictObject({
  /** tokens per sequence; default: the model's, at most 8192 */
  contextLength: z.number().int().min(8).max(16_777_216).optional(),
  /** sequences that may run at once; the KV cache has contextLength * sequences cells; default 4 */
  sequences: z.number().int().min(1).max(64).optional(),
  /** tokens per llama_decode; default 512, also the ubatch unless given */
  batch: z.number().int().min(1).max(16384).optional(),
  /** default: physical cores */
  threads: z.number().int().min(1).max(512).optional(),
  threadsBatch: z.number().int().min(1).max(512).optional(),
  /** layers on GPUs, from the end; default: all if there is a GPU among `devices`, else 0 */
  gpuLayers: z.number().int().min(0).max(100_000).optional(),
  /** device ids to use; default: every GPU; CPU is always there */
  devices: z.array(z.string()).optional(),
  /** all devices of these machines, too */
  machines: z.array(MachineEndpoint).optional(),
  /** share of the layers per device of `devices`, same order */
  tensorSplit: z.array(z.number().min(0)).optional(),
  /** keep the routed experts of the first N MoE layers in RAM (llama.cpp's --n-cpu-moe) */
  cpuExpertLayers: z.number().int().min(0).optional(),
  /**
   * bytes of RAM for routed experts; those that have no room are read from disk when a token needs them. 0: all are loaded like other
   * weights. Default: 0 if the model fits, else what the rest leaves of the free RAM
   */
  expertRamBytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  /** which expert leaves the RAM when another needs its room */
  expertPolicy: ExpertPolicyChoice.optional(),
  /** which layers get how much of that RAM */
  slotAllocation: SlotAllocation.optional(),
  /** default `auto`; lossless */
  expertPrefetch: ExpertPrefetch.optional(),
  /** `slots`: each layer has its own; `ring`: the layers share a few and take them in turn. Default auto: slots, unless even two a layer do not fit */
  expertStorage: z.enum(['auto', 'slots', 'ring']).optional(),
  /** read experts from the model's layout file (`experts.writeLayout`) if there is one that is of this very file; default auto */
  expertLayout: z.enum(['auto', 'off']).optional(),
  /**
   * GPUs that hold copies of experts and compute with them; needs an expert cache. Default: what the model leaves free on its GPUs if it does not
   * fit and expertRamBytes is left out, else none
   */
  expertDevices: z.array(ExpertDeviceBudget).max(8).optional(),
  /** copies there follow the load; default true */
  expertReplication: z.boolean().optional(),
  /** default off */
  lossyExperts: LossyExperts.optional(),
  /** default: off; lossy */
  expertReplicaPrecision: ReplicaPrecision.optional(),
  kvTypeK: KvType.optional(),
  kvTypeV: KvType.optional(),
  flashAttention: z.enum(['auto', 'on', 'off']).optional(),
  /** always true with an expert cache (expertRamBytes) */
  memoryMap: z.boolean().optional(),
  /** observe the router; default true */
  telemetry: z.boolean().optional(),
});
export type LoadOptions = z.infer<typeof LoadOptions>;

/** A model for its words alone: it tokenises, renders chats and encodes examples. No weights are read, so it takes megabytes; what needs weights is request.invalid. */
export const VocabularyOnly = z.strictObject({ vocabularyOnly: z.literal(true) });

export const PlanParameters = planParameters(LoadOptions);
export type PlanParameters = z.infer<typeof PlanParameters>;
export const PlanResult = planResult(LoadOptions);
export type PlanResult = z.infer<typeof PlanResult>;

export const MemorySplit = z.object({ weights: z.number(), experts: z.number(), kvCache: z.number(), compute: z.number() });
export const Estimate = z.object({
  /** bytes over all devices; `weights` excludes the routed experts, which are `experts` */
  total: MemorySplit,
  devices: z.array(MemorySplit.extend({ id: z.string(), memoryFree: z.number(), memoryTotal: z.number() })),
  need: z.number(),
  have: z.number(),
  fits: z.boolean(),
  /** bytes that the budgets of an expert cache can be: RAM, and each GPU when it has all experts; null: the model's experts cannot be in one */
  expertRoom: z.object({ ramBytesLeast: z.number(), ramBytesMost: z.number(), deviceBytesMost: z.number() }).nullable(),
  /** the options with every default filled in */
  options: LoadOptions,
});
export type Estimate = z.infer<typeof Estimate>;

export const LoadedModel = z.object({
  /** handle for later calls; unique for the life of the engine process */
  model: z.number().int(),
  path: z.string(),
  inspection: Inspection,
  /** none of a model that was loaded for its vocabulary */
  options: LoadOptions,
  loadMilliseconds: z.number(),
  /** bytes actually allocated, per device */
  memory: z.array(MemorySplit.extend({ id: z.string() })),
  /** false when the architecture hides its router from observation */
  telemetry: z.boolean(),
});
export type LoadedModel = z.infer<typeof LoadedModel>;

export const LogitBias = z.strictObject({ token: z.number().int(), bias: z.number() });
/** Sampler settings; an absent one means llama.cpp's default, and 0 temperature means greedy. */
export const Sampling = z.strictObject({
  seed: z.number().int().min(0).max(4294967295).optional(),
  temperature: z.number().min(0).max(10).optional(),
  topK: z.number().int().min(0).optional(),
  topP: z.number().min(0).max(1).optional(),
  minP: z.number().min(0).max(1).optional(),
  typicalP: z.number().min(0).max(1).optional(),
  repeatPenalty: z.number().min(0).max(10).optional(),
  repeatLastN: z.number().int().min(-1).optional(),
  presencePenalty: z.number().min(-2).max(2).optional(),
  frequencyPenalty: z.number().min(-2).max(2).optional(),
  dryMultiplier: z.number().min(0).max(100).optional(),
  dryBase: z.number().min(1).max(100).optional(),
  dryAllowedLength: z.number().int().min(0).optional(),
  dryPenaltyLastN: z.number().int().min(-1).optional(),
  drySequenceBreakers: z.array(z.string()).optional(),
  mirostat: z.union([z.literal(0), z.literal(1), z.literal(2)]).optional(),
  mirostatTau: z.number().min(0).max(20).optional(),
  mirostatEta: z.number().min(0).max(1).optional(),
  logitBias: z.array(LogitBias).optional(),
  /** GBNF; not together with jsonSchema */
  grammar: z.string().max(262_144).optional(),
  /** JSON schema object; the reply is constrained to match */
  jsonSchema: z.record(z.string(), z.unknown()).optional(),
});
export type Sampling = z.infer<typeof Sampling>;

export const ToolCall = z.object({ id: z.string(), name: z.string(), arguments: z.string() });
export type ToolCall = z.infer<typeof ToolCall>;
export const EngineMessage = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
  reasoningContent: z.string().optional(),
  toolCalls: z.array(ToolCall).optional(),
  toolCallId: z.string().optional(),
  name: z.string().optional(),
});
export type EngineMessage = z.infer<typeof EngineMessage>;
export const ToolDefinition = z.strictObject({ name: z.string(), description: z.string(), parameters: z.record(z.string(), z.unknown()) });
export type ToolDefinition = z.infer<typeof ToolDefinition>;

export const ChatInput = z.strictObject({
  messages: z.array(EngineMessage).min(1),
  tools: z.array(ToolDefinition).optional(),
  toolChoice: z.enum(['auto', 'none', 'required']).optional(),
  /** true: the last message is an assistant's and is to be continued, not answered */
  continueFinalMessage: z.boolean().optional(),
});
export type ChatInput = z.infer<typeof ChatInput>;

/** A text, all of it learnt; or a conversation, of which the messages of `replies` (indices, ascending) are, all without it. */
export const ExampleInput = z.union([
  z.strictObject({ text: z.string() }),
  z.strictObject({ chat: ChatInput, replies: z.array(z.number().int().min(0)).optional() }),
]);
export type ExampleInput = z.infer<typeof ExampleInput>;
export const EncodedExample = z.object({
  tokenCount: z.number().int(),
  supervisedCount: z.number().int(),
  /** [begin, end) of the tokens that are learnt */
  supervised: z.array(z.tuple([z.number().int(), z.number().int()])),
  /** a reply that is learnt has no end-of-generation token */
  unended: z.boolean(),
  /** a token begins in the prompt and ends in the reply: chat, which tokenises the prompt alone, has others there */
  crossing: z.boolean(),
  /** the chat template does not show the tools, or calls of them */
  hidden: z.boolean(),
  /** with `withTokens` */
  tokens: z.array(z.number().int()).optional(),
});
export type EncodedExample = z.infer<typeof EncodedExample>;

export const FinishReason = z.enum(['stop', 'stopString', 'length', 'contextFull', 'cancelled']);
export type FinishReason = z.infer<typeof FinishReason>;

export const GenerateParameters = z
  .strictObject({
    /** chosen by the client, unique among running ones; frames carry it */
    generation: z.number().int().min(1).max(4294967295),
    model: z.number().int(),
    prompt: z.string().optional(),
    tokens: z.array(z.number().int()).optional(),
    chat: ChatInput.optional(),
    sampling: Sampling.optional(),
    /** default: until end of generation or of context */
    maxTokens: z.number().int().min(0).optional(),
    stop: z.array(z.string().min(1)).max(64).optional(),
    /** number of top alternatives per token, 0: only the chosen one's logprob; absent: none */
    logprobs: z.number().int().min(0).max(64).optional(),
    /** what to do when the context is full; `shift` drops the oldest half after the first `keep` tokens */
    overflow: z.enum(['error', 'stop', 'shift']).optional(),
    keep: z.number().int().min(0).optional(),
    /** send ROUTES frames */
    routes: z.boolean().optional(),
    /** a hint: sequences with the same key prefer the same KV cache slot (conversation id) */
    cacheKey: z.string().optional(),
    /** reuse a cached prefix; default true */
    cachePrompt: z.boolean().optional(),
    ignoreEndOfGeneration: z.boolean().optional(),
    progressToken: z.string().optional(),
    /** that are on; others are off */
    adapters: z.array(AdapterUse).max(ADAPTERS_MOST).optional(),
  })
  .refine((p) => [p.prompt, p.tokens, p.chat].filter((x) => x !== undefined).length === 1, 'exactly one of prompt, tokens, chat');
export type GenerateParameters = z.infer<typeof GenerateParameters>;

export const GenerateResult = z.object({
  finishReason: FinishReason,
  stopString: z.string().nullable(),
  /** tokens of the prompt, cached ones included */
  promptTokens: z.number().int(),
  cachedTokens: z.number().int(),
  /** generated tokens, a final end-of-generation token included */
  tokens: z.number().int(),
  /** tokens dropped by context shifts */
  shiftedTokens: z.number().int(),
  seed: z.number().int(),
  queueMilliseconds: z.number(),
  promptMilliseconds: z.number(),
  decodeMilliseconds: z.number(),
  timeToFirstTokenMilliseconds: z.number(),
  /** of its tokens that were evaluated with `lossyExperts` on; null: none were */
  lossy: LossyUses.nullable(),
  /** only for `chat` input: the reply parsed by the template's own rules */
  message: z.object({ content: z.string(), reasoningContent: z.string(), toolCalls: z.array(ToolCall) }).nullable(),
});
export type GenerateResult = z.infer<typeof GenerateResult>;

const Path = z.strictObject({ path: z.string().min(1) });
const Nothing = z.strictObject({});
const Endpoint = z.strictObject({ endpoint: z.string().min(1) });

export const engineMethods = {
  initialize: { parameters: z.strictObject({ protocolVersion: z.number().int(), expectedLlamaVersion: z.string() }), result: Initialized },
  ping: { parameters: Nothing, result: z.object({ uptimeMilliseconds: z.number(), running: z.number().int() }) },
  'devices.list': { parameters: Nothing, result: z.object({ devices: z.array(Device) }) },
  'devices.addRemote': { parameters: Endpoint, result: RemoteMachines },
  'devices.removeRemote': { parameters: Endpoint, result: RemoteMachines },
  'devices.listRemote': { parameters: Nothing, result: RemoteMachines },
  'model.validate': { parameters: Path, result: z.object({ files: z.array(z.string()), tensorCount: z.number().int() }) },
  'model.inspect': { parameters: Path, result: Inspection },
  'model.estimate': { parameters: Path.extend({ options: LoadOptions.optional() }), result: Estimate },
  'plan.make': { parameters: PlanParameters, result: PlanResult },
  'model.load': {
    parameters: Path.extend({ options: z.union([LoadOptions, VocabularyOnly]).optional(), progressToken: z.string().optional() }),
    result: LoadedModel,
  },
  'model.unload': { parameters: z.strictObject({ model: z.number().int() }), result: Nothing },
  'model.list': { parameters: Nothing, result: z.object({ models: z.array(LoadedModel) }) },
  'experts.status': {
    parameters: z.strictObject({ model: z.number().int() }),
    result: z.object({ store: ExpertStore.nullable(), devices: ExpertDevices.nullable() }),
  },
  'experts.configure': {
    parameters: PlacementChange.extend({
      model: z.number().int(),
      /** anew, within the RAM that there is; `slots` instead: so many for each layer, fewer where they do not fit */
      slotAllocation: z.enum(['uniform', 'shallow']).optional(),
      slots: z.array(z.number().int().min(1)).optional(),
      /** as an earlier life of the model has shown; until this one shows more */
      superExperts: z.array(SuperExpert).max(1024).optional(),
    }),
    result: ExpertPlacement,
  },
  'experts.writeLayout': {
    /** trace: a .moetrace file of this model, to order the experts of a layer by; background: at the lowest priority, and held up (stage `paused`) while any model generates or is loaded, or the machine is measured */
    parameters: Path.extend({ trace: z.string().min(1).optional(), background: z.boolean().optional(), progressToken: z.string().optional() }),
    result: LayoutWritten,
  },
  /** which layers mind doing without their less important experts; the model has to have an expert cache. Its generations go on meanwhile, slowly. */
  'experts.calibrate': {
    parameters: z.strictObject({ model: z.number().int(), text: z.string().min(1), progressToken: z.string().optional() }),
    result: Calibration,
  },
  'experts.choose': { parameters: ChoiceParameters, result: ChoiceResult },
  'experts.replayDevices': { parameters: DeviceReplayParameters, result: DeviceReplayResult },
  'experts.replay': { parameters: ReplayParameters, result: ReplayResult },
  'model.tokenize': {
    parameters: z.strictObject({ model: z.number().int(), text: z.string(), addSpecial: z.boolean().optional(), parseSpecial: z.boolean().optional() }),
    result: z.object({ tokens: z.array(z.number().int()) }),
  },
  'model.detokenize': {
    parameters: z.strictObject({ model: z.number().int(), tokens: z.array(z.number().int()) }),
    result: z.object({ text: z.string() }),
  },
  'model.logits': {
    parameters: z.strictObject({
      model: z.number().int(),
      generation: z.number().int().min(1),
      tokens: z.array(z.number().int()).min(1),
      all: z.boolean().optional(),
      /** no logits, but how likely each of the tokens is after those before it */
      logprobs: z.boolean().optional(),
      adapters: z.array(AdapterUse).max(ADAPTERS_MOST).optional(),
    }),
    result: z.object({
      /** of the LOGITS frame */
      rowCount: z.number().int(),
      vocabularySize: z.number().int(),
      /** natural log, of the second token and each behind it; null: the model gave no number */
      logprobs: z.array(z.number().nullable()).optional(),
    }),
  },
  'chat.render': {
    parameters: z.strictObject({ model: z.number().int(), chat: ChatInput }),
    result: z.object({ prompt: z.string(), tokenCount: z.number().int(), stop: z.array(z.string()) }),
  },
  /** Training examples as the model sees them; rendered and tokenised as `generate` does it. Each is answered by itself. */
  'examples.encode': {
    parameters: z.strictObject({ model: z.number().int(), examples: z.array(ExampleInput), withTokens: z.boolean().optional() }),
    result: z.object({ examples: z.array(z.union([EncodedExample, z.object({ error: z.object({ code: z.string(), message: z.string() }) })])) }),
  },
  ...loadedAdapterMethods,
  ...trainMethods,
  ...trainEstimateMethods,
  generate: { parameters: GenerateParameters, result: GenerateResult },
  shutdown: { parameters: Nothing, result: Nothing },
} as const;

export type EngineMethod = keyof typeof engineMethods;
export type EngineParameters<M extends EngineMethod> = z.input<(typeof engineMethods)[M]['parameters']>;
export type EngineResult<M extends EngineMethod> = z.output<(typeof engineMethods)[M]['result']>;

export const Progress = z.object({
  token: z.string(),
  fraction: z.number(),
  stage: z.enum(['validate', 'weights', 'context', 'warmup', 'prompt', 'layout', 'paused', 'calibrate', 'export', 'choose-experts']),
});
export type Progress = z.infer<typeof Progress>;
