// Errors in OpenAI's shape: {error: {message, type, code, param}}.
import { type ErrorCode, MoebiusError, toErrorBody } from '../../contract/index.ts';

export interface ApiErrorBody {
  error: { message: string; type: string; code: string | null; param: string | null } & Record<string, unknown>;
}

/** OpenAI's own codes, where its clients look for them. */
const openAiCodes: Partial<Record<ErrorCode, string>> = {
  'model.not-found': 'model_not_found',
  'prompt.too-long': 'context_length_exceeded',
  'context.full': 'context_length_exceeded',
  'auth.missing': 'invalid_api_key',
};

function errorType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 404) return 'not_found_error';
  if (status === 429) return 'rate_limit_error';
  if (status === 503) return 'service_unavailable_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

/** Numbers that clients act on (`n_prompt_tokens`, `n_ctx`) are repeated as llama-server names them. */
function extras(details: Record<string, unknown>): Record<string, unknown> {
  const { promptTokens, contextLength } = details;
  return { ...(promptTokens === undefined ? {} : { n_prompt_tokens: promptTokens }), ...(contextLength === undefined ? {} : { n_ctx: contextLength }) };
}

export function toApiError(thrown: unknown): { status: number; body: ApiErrorBody; retryAfter: number | null } {
  const { code, message, details = {} } = toErrorBody(thrown);
  const status = thrown instanceof MoebiusError ? (thrown.code === 'model.not-loaded' ? 503 : thrown.status) : 500;
  const param = typeof details.param === 'string' ? details.param : null;
  const body = { error: { message, type: errorType(status), code: openAiCodes[code] ?? code, param, ...extras(details) } };
  return { status, body, retryAfter: status === 503 || status === 429 ? 1 : null };
}
