// Where things are: the checkout or installed package, and the user's data.
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';

const fromRoot = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The model that ships with the app. */
export const embeddedModel = (): string =>
  process.env.MOEBIUS_RESOURCES ? `${process.env.MOEBIUS_RESOURCES}/models/tiny-moe.gguf` : fromRoot('resources/models/tiny-moe.gguf');

/** The built UI. */
export const rendererRoot = (): string => fromRoot('dist/renderer');

/** MOEBIUS_DATA, or the platform's folder for application data. */
export const defaultDataFolder = (): string => process.env.MOEBIUS_DATA ?? envPaths('moebius', { suffix: '' }).data;
