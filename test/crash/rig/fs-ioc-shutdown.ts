import { execFileSync } from 'node:child_process';

/** FS_IOC_SHUTDOWN (linux/ext4.h): what becomes of what has not been written yet. */
export const SHUTDOWN = { flush: 0, logFlush: 1, noLogFlush: 2 } as const;
export type Shutdown = keyof typeof SHUTDOWN;

const SCRIPT = `
import fcntl, mmap, os, struct, sys
path, how, file = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
if file:
    block = mmap.mmap(-1, 4096)
    block.write(b'written by somebody else'.ljust(4096, b'!'))
    fd = os.open(os.path.join(path, file[0]), os.O_WRONLY | os.O_DIRECT)
    os.pwritev(fd, [block], 0)
    os.close(fd)
fd = os.open(path, os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587d, struct.pack('I', how))
`;

/**
 * Ends a mounted file system as a power failure would, for which Node has no call: whoever uses it gets EIO from
 * then on. Before that, the first block of `file` may be written, past all caches.
 */
export function shutDown(root: string, how: Shutdown, file?: string): void {
  const parameters = [root, String(SHUTDOWN[how]), ...(file === undefined ? [] : [file])];
  execFileSync('python3', ['-c', SCRIPT, ...parameters], { stdio: ['ignore', 'inherit', 'inherit'] });
}
