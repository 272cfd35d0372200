import type { Server } from '@grpc/grpc-js';
import { ServerCredentials } from '@grpc/grpc-js';
import { chmod, lstat, rm } from 'node:fs/promises';
import type { Server as Listener, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { dirname } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';
import { peerUser } from '../native.js';
import { makeDirectory } from '../store/make-directory.js';

/** A Unix socket through which a server is reached. */
export interface SocketListener {
  /** Accepts no further connections; the socket is gone from the file system. */
  stop(): Promise<void>;
  /** Ends the connections that are left. */
  destroy(): void;
}

/**
 * Lets a server be reached through a Unix socket by root and by the user that it runs as. The directory is made
 * if need be, for that user alone. A socket that a killed process left behind is replaced. Throws `STATE_BUSY`
 * when somebody listens there, `OUTPUT` when there is something else.
 */
export async function listenOnSocket(server: Server, path: string): Promise<SocketListener> {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = await openSocket(path, socket => {
    injector.injectConnection(socket);
  });
  return {
    stop: () =>
      new Promise(resolve => {
        // Node removes the socket's file; connections that are open do not keep us here.
        listener.close();
        resolve();
      }),
    destroy: () => {
      injector.destroy();
    },
  };
}

/** Listens at a Unix socket; hands on the connections of root and of the own user. Throws as `listenOnSocket`. */
export async function openSocket(path: string, accept: (socket: Socket) => void): Promise<Listener> {
  await makeDirectory(dirname(path), 0o700).catch((reason: unknown) => {
    throw ImageUnpackerError.from(reason, `Cannot make the directory of the socket ${path}`, { path });
  });
  await removeStale(path);
  const listener = createServer(socket => {
    if (isTrusted(socket)) accept(socket);
    else socket.destroy();
  });
  await listen(listener, path);
  // Who got in before this is refused by who he is.
  await chmod(path, 0o600);
  return listener;
}

function isTrusted(socket: Socket): boolean {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const user = peerUser(fd);
  return user === 0 || user === process.geteuid?.();
}

async function listen(listener: Listener, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    listener.once('error', (reason: NodeJS.ErrnoException) => {
      if (reason.code === 'EADDRINUSE') reject(busy(path));
      else reject(ImageUnpackerError.from(reason, `Cannot listen at the socket ${path}`, { path }));
    });
    listener.listen(path, resolve);
  });
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    const message = `Cannot listen at ${path}: there is something else; name another socket with --listen`;
    throw new ImageUnpackerError('OUTPUT', message, { path });
  }
  if (await isListenedTo(path)) throw busy(path);
  await rm(path, { force: true });
}

async function isListenedTo(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    return await new Promise(resolve => {
      socket.once('connect', () => {
        resolve(true);
      });
      socket.once('error', (reason: NodeJS.ErrnoException) => {
        resolve(reason.code !== 'ECONNREFUSED' && reason.code !== 'ENOENT');
      });
    });
  } finally {
    socket.destroy();
  }
}

function busy(path: string): ImageUnpackerError {
  const message = `Another process listens at ${path}; stop it, or name another socket with --listen`;
  return new ImageUnpackerError('STATE_BUSY', message, { path });
}
