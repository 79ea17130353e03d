// The contract between UI and core: every method and event, with zod schemas; types are inferred from them.
import type { z } from 'zod';
import { adapterEvents, adapterMethods } from './adapters.ts';
import { appEvents, appMethods } from './app.ts';
import { chatEvents, chatMethods } from './chats.ts';
import { expertEvents, expertMethods } from './experts.ts';
import { layoutEvents, layoutMethods } from './layouts.ts';
import { modelEvents, modelMethods } from './models.ts';
import { placementMethods } from './placement.ts';
import { trainingEvents, trainingMethods } from './training.ts';
import { trialEvents, trialMethods } from './trials.ts';

export const methods = {
  ...appMethods,
  ...adapterMethods,
  ...trialMethods,
  ...modelMethods,
  ...chatMethods,
  ...expertMethods,
  ...placementMethods,
  ...layoutMethods,
  ...trainingMethods,
} as const;
export const events = {
  ...appEvents,
  ...adapterEvents,
  ...trialEvents,
  ...modelEvents,
  ...chatEvents,
  ...expertEvents,
  ...layoutEvents,
  ...trainingEvents,
} as const;

export type Method = keyof typeof methods;
export type Parameters<M extends Method> = z.input<(typeof methods)[M]['parameters']>;
export type Result<M extends Method> = z.output<(typeof methods)[M]['result']>;
export type EventName = keyof typeof events;
export type EventPayload<E extends EventName> = z.output<(typeof events)[E]>;

/** What a service implements: parsed parameters in, result out. */
export type Handler<M extends Method> = (parameters: z.output<(typeof methods)[M]['parameters']>) => Promise<Result<M>> | Result<M>;
export type Handlers<M extends Method = Method> = { [K in M]: Handler<K> };

/** What the UI holds, whichever transport carries it. Rejects with MoebiusError. */
export interface CoreClient {
  call<M extends Method>(method: M, parameters: Parameters<M>): Promise<Result<M>>;
  /** returns the unsubscribe function */
  on<E extends EventName>(event: E, listener: (payload: EventPayload<E>) => void): () => void;
  /** false while the transport is down; it reconnects by itself */
  onConnection(listener: (connected: boolean) => void): () => void;
  dispose(): void;
}

/** Services publish events through this. */
export type Publish = <E extends EventName>(event: E, payload: EventPayload<E>) => void;

export * from '../engine/protocol.ts';
export * from './adapters.ts';
export * from './app.ts';
export * from './chats.ts';
export * from './datasets.ts';
export * from './errors.ts';
export * from './experts.ts';
export * from './layouts.ts';
export * from './models.ts';
export * from './placement.ts';
export * from './training.ts';
export * from './training-runs.ts';
export * from './trials.ts';
