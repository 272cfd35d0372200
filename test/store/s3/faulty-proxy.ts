import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What becomes of a request: it comes to nothing, it is done and nobody hears of it, or neither. */
export type Fate = 'pass' | 'refuse' | 'lose';

/** Stands between a store and its S3. `fate` decides of each request that writes; `count` says how many there were. */
export class FaultyProxy {
  count = 0;
  /** An answer is cut off after so many bytes. */
  cutAfter = Infinity;
  cuts = 0;
  /** How long the answer to a request that comes takes, in milliseconds. */
  latency: () => number = () => 0;
  /** Requests that were not answered at the same time, at the most. */
  mostAtOnce = 0;
  #atOnce = 0;
  fate: (write: number) => Fate = () => 'pass';
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #target: URL;

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((incoming, outgoing) => {
      this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce);
      outgoing.on('close', () => this.#atOnce--);
      const latency = this.latency();
      if (latency === 0) this.#pass(incoming, outgoing);
      else setTimeout(() => this.#pass(incoming, outgoing), latency);
    });
  }

  static async before(target: string): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = 'GET', url, headers } = incoming;
    const fate = method === 'GET' || method === 'HEAD' ? 'pass' : this.fate(this.count++);
    if (fate === 'refuse') {
      incoming.socket.destroy();
      return;
    }
    const { hostname, port } = this.#target;
    const passed = request({ hostname, port, method, path: url, headers, agent: this.#agent }, answer => {
      if (fate === 'lose') {
        answer.resume().on('end', () => incoming.socket.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      let sent = 0;
      answer.on('data', (chunk: Buffer) => {
        sent += chunk.length;
        if (sent <= this.cutAfter) return;
        this.cuts++;
        answer.destroy();
        incoming.socket.destroy();
      });
      answer.on('error', () => undefined);
      answer.pipe(outgoing);
    });
    passed.on('error', () => incoming.socket.destroy());
    incoming.pipe(passed);
  }
}
