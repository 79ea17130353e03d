// Names that the preload script and the main process share.

/** page -> main: asks for a port */
export const CONNECT = 'moebius:connect';
/** main -> preload: carries the port */
export const PORT = 'moebius:port';
/** preload -> page: data of the window message that carries the port; renderer/core/message-port.ts waits for it */
export const PORT_MESSAGE = 'moebius-port';
/** page -> main: native dialogs; answered with a path or null */
export const CHOOSE_FOLDER = 'moebius:choose-folder';
export const CHOOSE_FILE = 'moebius:choose-file';
