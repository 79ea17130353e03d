// Which addresses of a model's text may be opened, always by the reader's own hand.

const openable = new Set(['http:', 'https:', 'mailto:']);

/** The address, normalised; null for anything but an absolute http, https or mailto address. */
export function safeUrl(address: string | undefined): string | null {
  if (!address) return null;
  try {
    const url = new URL(address);
    return openable.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
