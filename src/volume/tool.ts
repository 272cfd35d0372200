import { spawn } from 'node:child_process';
import { ImageUnpackerError, cancelled, throwIfAborted } from '../image/error.js';

/** The packages that the tools come from, by the names that most distributions give them. */
const PACKAGES: Readonly<Record<string, string>> = {
  mke2fs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  resize2fs: 'e2fsprogs',
  tune2fs: 'e2fsprogs',
  blkid: 'util-linux',
};

/** More than any of the tools says when all is well; the rest of a flood is dropped. */
const MAX_OUTPUT = 64 << 10;

/** What a tool said and how it ended. */
export interface ToolResult {
  status: number;
  output: string;
}

/**
 * Runs a tool to its end, standard output and error together. Throws `TOOL_MISSING` naming the package,
 * and `CANCELLED`, with the tool killed, when `signal` is aborted.
 */
export async function runTool(
  tool: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<ToolResult> {
  throwIfAborted(signal);
  return new Promise((resolve, reject) => {
    // The administrator's tools are not on every user's path.
    const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`;
    const child = spawn(tool, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH, LC_ALL: 'C' } });
    const kill = (): void => {
      child.kill('SIGKILL');
    };
    signal?.addEventListener('abort', kill, { once: true });
    let output = '';
    const collect = (chunk: Buffer): void => {
      if (output.length < MAX_OUTPUT) output += chunk.toString('utf8');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', reason => {
      reject(toolFailure(tool, reason));
    });
    child.on('close', (status, killedBy) => {
      signal?.removeEventListener('abort', kill);
      if (signal?.aborted === true) reject(cancelled());
      else if (status === null)
        reject(new ImageUnpackerError('TOOL_FAILED', `${tool} was ended by ${killedBy ?? 'a signal'}`));
      else resolve({ status, output: output.trim() });
    });
  });
}

/** The error of a tool that could not be started. */
export function toolFailure(tool: string, reason: unknown): ImageUnpackerError {
  if ((reason as NodeJS.ErrnoException).code !== 'ENOENT')
    return ImageUnpackerError.from(reason, `Cannot run ${tool}`);
  const from = PACKAGES[tool] ?? tool;
  return new ImageUnpackerError(
    'TOOL_MISSING',
    `The program ${tool} is not installed: install the package ${from}`,
  );
}
