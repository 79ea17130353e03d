// What crosses either transport. As JSON text over a WebSocket, as structured clones over a MessagePort.
import type { ErrorBody, EventName } from '../../main/contract/index.ts';

export interface RequestMessage {
  id: number;
  method: string;
  parameters: unknown;
}
export interface ResponseMessage {
  id: number;
  result?: unknown;
  error?: ErrorBody;
}
export interface EventMessage {
  event: EventName;
  payload: unknown;
}
export type Incoming = ResponseMessage | EventMessage;

/**
 * An event with bytes, as it comes in a binary WebSocket message: `u32 LE jsonByteLength`, that much JSON `{event, payload}` where the payload
 * lacks `data`, then the bytes of `data`. `data` of the answer is a view into the message.
 */
export function decodeBinaryEvent(message: ArrayBuffer): EventMessage {
  const jsonLength = new DataView(message).getUint32(0, true);
  const json = new TextDecoder().decode(new Uint8Array(message, 4, jsonLength));
  // The core is trusted to keep the wire format: it is the same release, and its own side validates with the contract.
  const event = JSON.parse(json) as { event: EventName; payload: Record<string, unknown> };
  return { event: event.event, payload: { ...event.payload, data: new Uint8Array(message, 4 + jsonLength) } };
}
