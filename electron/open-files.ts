// Model files that the system asks us to open: by argument, by double click, by a second start. They wait until a page is there to show them.
import { isAbsolute, resolve } from 'node:path';

/** GGUF files among the arguments of a start, as absolute paths; `folder` is what relative ones are relative to. */
export function filesOfArguments(parameters: string[], folder: string): string[] {
  return parameters
    .filter((parameter) => !parameter.startsWith('-') && parameter.toLowerCase().endsWith('.gguf'))
    .map((path) => (isAbsolute(path) ? path : resolve(folder, path)));
}

export class OpenFiles {
  readonly #waiting: string[] = [];
  #deliver: ((path: string) => void) | null = null;

  open(path: string): void {
    if (this.#deliver) this.#deliver(path);
    else this.#waiting.push(path);
  }

  /** From now on files go to `deliver`, those that wait first. */
  connect(deliver: (path: string) => void): void {
    this.#deliver = deliver;
    for (const path of this.#waiting.splice(0)) deliver(path);
  }

  /** No page is there any more: files wait again. */
  disconnect(): void {
    this.#deliver = null;
  }
}
