// `delay.mjs PORT MILLISECONDS BYTES`: a line to a port of this machine, on which each byte takes so long, either way, and which
// carries so many a second, either way. It prints the port at which it begins.
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/** One direction of the line, shared by all connections. */
class Direction {
  readonly #delay: number;
  readonly #bytesPerMillisecond: number;
  #freeAt = 0;

  constructor(delay: number, bytesPerSecond: number) {
    this.#delay = delay;
    this.#bytesPerMillisecond = bytesPerSecond / 1000;
  }

  /** Passes on what comes from one end to the other, in order; no more is on its way than the line holds. */
  join(from: Socket, to: Socket): void {
    const most = 2 * this.#delay * this.#bytesPerMillisecond;
    const waiting: { due: number; arrive: () => void }[] = [];
    let under = 0;
    // Timers of other lengths overtake one another by a millisecond.
    const arrive = (): void => {
      while (waiting.length > 0 && waiting[0]!.due <= performance.now()) waiting.shift()!.arrive();
      if (waiting.length > 0) setTimeout(arrive, waiting[0]!.due - performance.now());
    };
    const send = (bytes: number, then: () => void): void => {
      this.#freeAt = Math.max(this.#freeAt, performance.now()) + bytes / this.#bytesPerMillisecond;
      waiting.push({ due: this.#freeAt + this.#delay, arrive: then });
      if (waiting.length === 1) setTimeout(arrive, waiting[0]!.due - performance.now());
    };
    from.on('data', (chunk: Buffer) => {
      under += chunk.length;
      if (under > most) from.pause();
      send(chunk.length, () => {
        to.write(chunk, () => {
          under -= chunk.length;
          if (under <= most) from.resume();
        });
      });
    });
    from.on('end', () => {
      send(0, () => to.end());
    });
    from
      .on('error', () => to.destroy())
      .on('close', () => {
        if (from.errored !== null) to.destroy();
      });
  }
}

const [port, milliseconds, bytes] = process.argv.slice(2).map(Number);
const there = new Direction(milliseconds!, bytes!);
const back = new Direction(milliseconds!, bytes!);
const server = createServer({ noDelay: true, allowHalfOpen: true }, near => {
  const far = connect({ port: port!, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  there.join(near, far);
  back.join(far, near);
});
server.listen(0, '127.0.0.1', () => {
  console.log((server.address() as { port: number }).port);
});
process.stdin.resume().on('end', () => process.exit());
