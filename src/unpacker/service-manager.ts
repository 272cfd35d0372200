import { sendDatagram } from '../native.js';

/*
 * What systemd is told by a service of the type notify (sd_notify(3)). Without NOTIFY_SOCKET nothing is told.
 */

/** Variables of the environment that systemd sets. */
interface ManagerEnvironment {
  readonly [name: string]: string | undefined;
}

/** The service manager that started this process, if one did. */
export class ServiceManager {
  readonly #socket: string | undefined;
  readonly #watchdogMilliseconds: number | undefined;
  readonly #send: typeof sendDatagram;
  #watchdog: NodeJS.Timeout | undefined;

  constructor(environment: ManagerEnvironment, send = sendDatagram) {
    this.#socket = environment['NOTIFY_SOCKET'];
    const microseconds = Number(environment['WATCHDOG_USEC']);
    const meant = environment['WATCHDOG_PID'] ?? String(process.pid);
    if (microseconds > 0 && meant === String(process.pid)) this.#watchdogMilliseconds = microseconds / 1000;
    this.#send = send;
  }

  /** The service can be used; `status` is shown to people. */
  ready(status: string): void {
    this.#tell(`READY=1\nSTATUS=${status}`);
  }

  stopping(): void {
    clearInterval(this.#watchdog);
    this.#tell('STOPPING=1\nSTATUS=Stopping');
  }

  /** Feeds the watchdog, if the manager has one, for as long as `moves` says that all is as it should be. */
  watch(moves: () => boolean): void {
    if (this.#watchdogMilliseconds === undefined) return;
    const feed = (): void => {
      if (moves()) this.#tell('WATCHDOG=1');
    };
    feed();
    // Twice in the time that it may take: once may be late.
    this.#watchdog = setInterval(feed, this.#watchdogMilliseconds / 2).unref();
  }

  #tell(state: string): void {
    if (this.#socket !== undefined && this.#socket !== '') this.#send(this.#socket, state);
  }
}
