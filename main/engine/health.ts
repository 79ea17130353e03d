// Asks the engine every now and then whether it is there. ping is answered by the engine's reader thread, so a busy decode thread does not delay it.

export interface HealthTiming {
  /** between an answer and the next ping, ms */
  pingInterval: number;
  /** without an answer the engine counts as unresponsive, ms */
  pingTimeout: number;
  /** ... and after this much more as lost, ms */
  killAfter: number;
}

export const defaultHealthTiming: HealthTiming = { pingInterval: 2000, pingTimeout: 5000, killAfter: 15_000 };

export interface HealthListener {
  /** no answer for `milliseconds` */
  onUnresponsive(milliseconds: number): void;
  /** it answered after all */
  onRecovered(): void;
  onLost(milliseconds: number): void;
}

/** Room for answers that already lie in our own queue when a timer fires late because this process was busy or the machine slept. */
const GRACE = 50;

/** Watches one engine process from construction to `stop`. */
export class HealthMonitor {
  readonly #ping: () => Promise<unknown>;
  readonly #timing: HealthTiming;
  readonly #listener: HealthListener;
  #timer: NodeJS.Timeout | undefined;
  #unresponsive = false;
  #stopped = false;

  /** A rejected `ping` counts as no answer. */
  constructor(ping: () => Promise<unknown>, timing: HealthTiming, listener: HealthListener) {
    this.#ping = ping;
    this.#timing = timing;
    this.#listener = listener;
    this.#schedule(() => this.#ask(), timing.pingInterval);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(action: () => void, milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, milliseconds);
    this.#timer.unref();
  }

  #ask(): void {
    const { pingTimeout, killAfter } = this.#timing;
    this.#schedule(() => {
      this.#schedule(() => {
        this.#unresponsive = true;
        this.#schedule(() => this.#listener.onLost(pingTimeout + killAfter), killAfter);
        this.#listener.onUnresponsive(pingTimeout);
      }, GRACE);
    }, pingTimeout);
    this.#ping().then(
      () => this.#answered(),
      () => {},
    );
  }

  #answered(): void {
    if (this.#stopped) return;
    this.#schedule(() => this.#ask(), this.#timing.pingInterval);
    if (!this.#unresponsive) return;
    this.#unresponsive = false;
    this.#listener.onRecovered();
  }
}
