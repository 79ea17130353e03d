// Records the routing of the second model for `npm run bench -- hit-rate`. Usage: node record.ts FILE.gguf FILE.moetrace
import { recordSecondMoe } from '../../bench/support/traced-models.ts';

const [model, trace] = process.argv.slice(2);
if (model === undefined || trace === undefined) throw new Error('Usage: node record.ts FILE.gguf FILE.moetrace');
await recordSecondMoe(model, trace);
