// Why a file in the library cannot be used as a model.
import path from 'node:path';
import { type ErrorBody, type Inspection, MoebiusError, toErrorBody } from '../../contract/index.ts';
import type { ModelFiles } from './scan.ts';
import { parseSplitName } from './split-names.ts';

/** `general.type` of GGUF files that only work together with a model. */
const companions: Record<string, string> = {
  adapter: 'a LoRA adapter: it changes a base model and is not one itself',
  mmproj: 'a vision projector: it belongs to a model and is not one itself',
  imatrix: 'an importance matrix: it was used to quantise a model and is not one itself',
};

/** null when all files are there. */
export function problemOfFiles(model: ModelFiles): ErrorBody | null {
  if (model.missing.length === 0) return null;
  if (model.files.length === 0) {
    return toErrorBody(
      new MoebiusError('file.not-found', `${model.path} is no longer there. Put the file back (or plug its drive in), or remove the model from the list.`, {
        details: { path: model.path },
      }),
    );
  }
  const count = parseSplitName(model.path)?.count ?? 1;
  const names = model.missing.map((file) => path.basename(file));
  const shown = names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '');
  return toErrorBody(
    new MoebiusError(
      'file.split-incomplete',
      `${names.length} of the ${count} parts of this model are missing: ${shown}. Put them into ${path.dirname(model.path)}.`,
      {
        details: { missing: model.missing, count },
      },
    ),
  );
}

/** null for a file that can be loaded on its own. */
export function problemOfInspection(inspection: Inspection): ErrorBody | null {
  const type = inspection.metadata['general.type'];
  const companion = (typeof type === 'string' && companions[type]) || (inspection.architecture === 'clip' && companions.mmproj);
  if (!companion) return null;
  return toErrorBody(
    new MoebiusError('model.unsupported', `${path.basename(inspection.path)} is ${companion}. Load the model that it belongs to.`, {
      details: { type: type ?? null, architecture: inspection.architecture },
    }),
  );
}
