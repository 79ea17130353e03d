// One policy for both homes of the UI: the headless web server and Electron's custom protocol.
// Model output is shown in this page, so nothing may load from elsewhere; styles inline: KaTeX and virtualised rows set style attributes.
export function contentSecurityPolicy(connect: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    `connect-src 'self' ${connect}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
