// An event whose payload has a `data: Uint8Array` travels over a WebSocket as one binary message:
// u32 LE byte length of the JSON, the JSON {event, payload without data}, then the bytes of data.
export function encodeBinaryEvent(event: string, payload: { data: Uint8Array }): Buffer {
  const { data, ...rest } = payload;
  const json = Buffer.from(JSON.stringify({ event, payload: rest }));
  const message = Buffer.allocUnsafe(4 + json.length + data.length);
  message.writeUInt32LE(json.length, 0);
  json.copy(message, 4);
  message.set(data, 4 + json.length);
  return message;
}

export function hasData(payload: object): payload is { data: Uint8Array } {
  return 'data' in payload && payload.data instanceof Uint8Array;
}
