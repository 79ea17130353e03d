// Checks of settings that need more than a schema: folders on disk, URLs, ports.
import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { MoebiusError, type Settings } from '../contract/index.ts';

/** `~/x` means the user's own folder; anything else must be absolute. */
function absoluteFolder(folder: string): string {
  const expanded = folder === '~' || folder.startsWith('~/') ? path.join(homedir(), folder.slice(1)) : folder;
  if (!path.isAbsolute(expanded) || expanded.includes('\0')) {
    throw new MoebiusError('request.invalid', `"${folder}" is not a full path. Give the folder from the root, for example ${path.join(homedir(), 'models')}.`, {
      details: { folder },
    });
  }
  return path.resolve(expanded);
}

/** The folder is made if it is missing; `mode` is what the app must be able to do there. */
async function usableFolder(folder: string, mode: 'read' | 'write'): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    if (!(await stat(folder)).isDirectory()) throw new Error('it is a file');
    await access(folder, mode === 'write' ? constants.W_OK | constants.X_OK : constants.R_OK | constants.X_OK);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MoebiusError('file.unreadable', `The folder ${folder} cannot be ${mode === 'write' ? 'written to' : 'read'}: ${reason}. Choose another folder.`, {
      details: { folder },
      cause,
    });
  }
}

/** Without a trailing slash, so that paths can be appended. A path prefix is kept: company mirrors have one. */
function hubUrl(text: string): string {
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new MoebiusError('request.invalid', `The hub address must begin with https:// or http://, not ${url.protocol}//.`, { details: { hubUrl: text } });
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new MoebiusError(
      'request.invalid',
      'The hub address must be a plain address without user, password, "?" or "#". A token goes into the environment variable HF_TOKEN.',
    );
  }
  return url.href.replace(/\/+$/, '');
}

function checkPort(port: number): void {
  if (port === 0 || port >= 1024) return;
  throw new MoebiusError('request.invalid', `Port ${port} is reserved for the system. Choose one from 1024 to 65535, or 0 for any free port.`, {
    details: { port },
  });
}

/**
 * Returns `next` in its normal form, or rejects with a MoebiusError that names the field's value.
 * Only what differs from `previous` is looked at on disk: an unplugged drive in the list must not block other changes.
 */
export async function validateSettings(next: Settings, previous: Settings): Promise<Settings> {
  const modelFolders = [...new Set(next.modelFolders.map(absoluteFolder))];
  const downloadFolder = absoluteFolder(next.downloadFolder);
  checkPort(next.api.port);
  const normal: Settings = {
    ...next,
    modelFolders,
    downloadFolder,
    hubUrl: hubUrl(next.hubUrl),
    devices: next.devices && [...new Set(next.devices)],
    remoteMachines: [...new Set(next.remoteMachines)],
  };
  for (const folder of modelFolders) {
    if (!previous.modelFolders.includes(folder)) await usableFolder(folder, 'read');
  }
  if (downloadFolder !== previous.downloadFolder) await usableFolder(downloadFolder, 'write');
  return normal;
}
