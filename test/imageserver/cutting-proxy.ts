import { connect as connectSocket, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

/** A proxy before a server that passes bytes on, counts them, and can cut connections and damage what passes. */
export interface CuttingProxy {
  where: string;
  /** What clients have sent so far. */
  sent: () => number;
  /** What the server has answered so far. */
  answered: () => number;
  /** From now on a connection is cut whenever so many bytes have passed. */
  cutEvery: (bytes: number) => void;
  cuts: () => number;
  /** Of what passes once so many bytes more have, one bit is flipped. */
  flipAfter: (bytes: number) => void;
}

/** Starts one on this machine, which ends with the test. */
export async function cuttingProxy(t: ExecutionContext, port: number): Promise<CuttingProxy> {
  let [up, down, every, left, cuts, untilFlip] = [0, 0, Infinity, Infinity, 0, Infinity];
  const damage = (chunk: Buffer): void => {
    untilFlip -= chunk.length;
    if (untilFlip > 0) return;
    untilFlip = Infinity;
    chunk[chunk.length >> 1]! ^= 1;
  };
  const sockets = new Set<Socket>();
  const server = createServer(near => {
    const far = connectSocket(port, '127.0.0.1');
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', end).on('close', () => {
        sockets.delete(socket);
        (socket === near ? far : near).end();
      });
    }
    /** What was passed on still arrives: how much is in buffers is not what a test is about. */
    const count = (length: number, from: Socket, to: Socket): void => {
      left -= length;
      if (left > 0) return;
      left = every;
      cuts++;
      from.destroy();
      to.end();
    };
    near.on('data', (chunk: Buffer) => {
      up += chunk.length;
      damage(chunk);
      if (!far.write(chunk)) {
        near.pause();
        far.once('drain', () => near.resume());
      }
      count(chunk.length, near, far);
    });
    far.on('data', (chunk: Buffer) => {
      down += chunk.length;
      damage(chunk);
      if (!near.write(chunk)) {
        far.pause();
        near.once('drain', () => far.resume());
      }
      count(chunk.length, far, near);
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    where: `127.0.0.1:${String((server.address() as { port: number }).port)}`,
    sent: () => up,
    answered: () => down,
    cutEvery: bytes => (every = left = bytes),
    cuts: () => cuts,
    flipAfter: bytes => (untilFlip = bytes),
  };
}
