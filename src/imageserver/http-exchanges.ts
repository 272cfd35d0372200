import type { ServerResponse } from 'node:http';

/** The requests that are being answered, which a server that stops gives their time. */
export class HttpExchanges {
  readonly #underWay = new Set<ServerResponse>();
  #isStopping = false;
  #ended: () => void = () => undefined;

  add(response: ServerResponse): void {
    this.#underWay.add(response);
    // Its connection is to bring no other request.
    if (this.#isStopping) response.shouldKeepAlive = false;
    response.once('close', () => {
      this.#underWay.delete(response);
      if (this.#underWay.size === 0) this.#ended();
    });
  }

  /** Resolves when none is left. */
  async end(): Promise<void> {
    this.#isStopping = true;
    for (const response of this.#underWay) response.shouldKeepAlive = false;
    if (this.#underWay.size > 0) await new Promise<void>(resolve => (this.#ended = resolve));
  }
}
