// Keeps web pages of other sites away from the loopback servers: DNS rebinding by the Host header, cross-site requests by Origin.
import type { Duplex } from 'node:stream';

const LOOPBACK_NAMES = ['127.0.0.1', 'localhost', '[::1]'];

export interface RequestGuard {
  /** Both headers must name this very server; a missing Origin is a non-browser client, allowed unless required. */
  allows(host: string | undefined, origin: string | undefined, options?: { originRequired?: boolean }): boolean;
}

/** `port` is asked at every request, since it is known only after listening. */
export function loopbackGuard(port: () => number): RequestGuard {
  const names = () => LOOPBACK_NAMES.flatMap((name) => (port() === 80 ? [name, `${name}:80`] : [`${name}:${port()}`]));
  return {
    allows(host, origin, options = {}) {
      if (host === undefined || !names().includes(host.toLowerCase())) return false;
      if (origin === undefined) return !options.originRequired;
      return names().some((name) => origin === `http://${name}`);
    },
  };
}

export function refuseUpgrade(socket: Duplex, status: 403 | 404): void {
  const reason = status === 403 ? 'Forbidden' : 'Not Found';
  socket.end(`HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
