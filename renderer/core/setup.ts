// Imported before anything that makes a zod schema: zod's compiled validators need `new Function`, which the CSP forbids.
import { config } from 'zod';

config({ jitless: true });
