// What a hub's refusal means to a user.
import { HubApiError } from '@huggingface/hub';
import { MoebiusError } from '../../contract/index.ts';
import { ConnectionFault } from './hub-http.ts';

/** `what`: the repository or file that was asked for. */
export function errorOfStatus(status: number, what: string, hubUrl: string): MoebiusError {
  const details = { status, what, hubUrl };
  if (status === 401 || status === 403) {
    const advice = process.env.HF_TOKEN
      ? 'The token in HF_TOKEN has no access: open the page in a browser and ask for access, or check the name.'
      : 'It is gated, private, or the name is misspelt. Ask for access on its page, then start Moebius with your token in the environment variable HF_TOKEN.';
    return new MoebiusError('hub.refused', `${hubUrl} refused ${what} (HTTP ${status}). ${advice}`, { details });
  }
  if (status === 404)
    return new MoebiusError('hub.not-found', `${hubUrl} has no ${what} (HTTP 404). Check the name, and the hub address in Settings.`, { details });
  if (status === 429)
    return new MoebiusError('hub.refused', `${hubUrl} limits how often it may be asked (HTTP 429). Wait a minute and try again.`, { details });
  return new MoebiusError(
    'hub.unreachable',
    `${hubUrl} answered HTTP ${status} for ${what}. Try again later, or set another hub address (a mirror) in Settings.`,
    { details },
  );
}

export function unreachable(hubUrl: string, reason: string, cause: unknown): MoebiusError {
  return new MoebiusError(
    'hub.unreachable',
    `${hubUrl} cannot be reached: ${reason}. Check the network connection; where the hub is blocked, set the address of a mirror in Settings.`,
    { details: { hubUrl, reason }, cause },
  );
}

/** Any error of a request to the hub's API, for a user. */
export function hubError(error: unknown, what: string, hubUrl: string): unknown {
  if (error instanceof MoebiusError) return error;
  if (error instanceof HubApiError) return errorOfStatus(error.statusCode, what, hubUrl);
  if (error instanceof ConnectionFault) return unreachable(hubUrl, error.message, error);
  if (error instanceof SyntaxError)
    return unreachable(hubUrl, 'it answered with something other than JSON (a sign-in page of the network, or not a hub)', error);
  return error;
}
