// The database thread: one connection, requests in the order they come.
import { parentPort, workerData } from 'node:worker_threads';
import { Connection, type OpenReport, type Operation } from './connection.ts';
import { toWireError, type WireError } from './errors.ts';
import { migrations } from './migrations/index.ts';

export interface WorkerInput {
  path: string;
}
export type WorkerRequest = { id: number; operation: Operation } | { id: number; close: true };
export type WorkerReply = { opened: OpenReport } | { failed: WireError } | { id: number; result: unknown } | { id: number; error: WireError };

if (parentPort !== null) serve(parentPort, workerData);

function serve(port: NonNullable<typeof parentPort>, { path }: WorkerInput): void {
  const reply = (message: WorkerReply) => port.postMessage(message);
  let connection: Connection;
  try {
    connection = new Connection(path, migrations);
  } catch (error) {
    reply({ failed: toWireError(error) });
    return;
  }
  port.on('message', (request: WorkerRequest) => {
    try {
      if ('operation' in request) return reply({ id: request.id, result: connection.execute(request.operation) });
      connection.close();
      reply({ id: request.id, result: undefined });
      port.close();
    } catch (error) {
      reply({ id: request.id, error: toWireError(error) });
    }
  });
  reply({ opened: connection.report });
}
