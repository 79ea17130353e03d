// Layout files: the experts of a model once more, beside it and in an order in which the disk reads them faster (native/experts/layout).
import { z } from 'zod';
import { ErrorBody } from './errors.ts';

export const LayoutState = z.object({
  modelId: z.string(),
  /** where the file is, or would be */
  path: z.string(),
  /** of the file that is there; null: there is none */
  bytes: z.number().nullable(),
  /** the model as it is loaded reads from it */
  used: z.boolean(),
  /** a file that was written since the model was loaded: the next load takes it */
  fresh: z.boolean(),
  /** what a new one takes, at most */
  needBytes: z.number(),
  /** on its disk; null: not known */
  freeBytes: z.number().nullable(),
  /** the copying under way; `paused`: a reply is generated */
  writing: z.object({ fraction: z.number(), paused: z.boolean() }).nullable(),
  /** the user stopped or deleted it, or did not want it: it comes only when it is asked for */
  declined: z.boolean(),
  /** setting `ask`: it could be written now */
  offered: z.boolean(),
  /** why it was not written */
  problem: ErrorBody.nullable(),
});
export type LayoutState = z.infer<typeof LayoutState>;

const ModelId = z.strictObject({ modelId: z.string() });

export const layoutMethods = {
  /** null: the model is not loaded, or all its experts are in memory */
  'layouts.status': { parameters: ModelId, result: LayoutState.nullable() },
  /** Starts to write it, whatever the setting and an earlier refusal say. Rejects with model.not-loaded, model.busy; what comes in between is its `problem`. */
  'layouts.write': { parameters: ModelId, result: LayoutState },
  /** Stops the writing under way, if any; of itself it does not begin again. */
  'layouts.decline': { parameters: ModelId, result: LayoutState },
  /** Deletes the file; of itself it does not come back. A model that is loaded with it keeps its bytes on the disk until it is unloaded. */
  'layouts.delete': { parameters: ModelId, result: LayoutState },
} as const;

export const layoutEvents = {
  /** writing begins, goes on (a few times a second) and ends; an offer is made */
  'layouts.changed': LayoutState,
} as const;
