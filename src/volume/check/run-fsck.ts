import { spawn } from 'node:child_process';
import { ImageUnpackerError } from '../../image/error.js';

/** What is kept of the tool's output: the first faults are enough, and a hostile volume has many. */
const MAX_OUTPUT = 4096;
/** e2fsck reads all metadata: minutes on the largest volumes. Longer than this it hangs. */
const TIMEOUT_MILLISECONDS = 60 * 60 * 1000;
/** An exit status from here on says that the tool itself failed, not that the volume is faulty. */
const OPERATIONAL_ERROR = 8;

/**
 * Runs `e2fsck -fn`, which changes nothing. Returns what it found wrong, or undefined. Throws
 * `TOOL_MISSING` or `TOOL_FAILED` if it could not look.
 */
export async function runFsck(device: string, signal?: AbortSignal): Promise<string | undefined> {
  const { status, output } = await run('e2fsck', ['-fn', device], signal);
  if (status === 0) return undefined;
  if (status >= OPERATIONAL_ERROR) {
    const message = `e2fsck ended with status ${String(status)} on ${device}: ${output}`;
    throw new ImageUnpackerError('TOOL_FAILED', message, { device });
  }
  return output;
}

function run(
  command: string,
  parameters: string[],
  signal: AbortSignal | undefined,
): Promise<{ status: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
      timeout: TIMEOUT_MILLISECONDS,
      ...(signal === undefined ? {} : { signal }),
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(0, MAX_OUTPUT);
      });
    }
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') reject(ImageUnpackerError.from(error, `${command} failed`));
      else reject(missing(command));
    });
    child.on('close', (code, killedBy) => {
      if (code !== null) resolve({ status: code, output: output.trim() });
      else reject(new ImageUnpackerError('TOOL_FAILED', `${command} was ended by ${String(killedBy)}`));
    });
  });
}

function missing(command: string): ImageUnpackerError {
  const what = `${command} is not installed; install the package e2fsprogs`;
  return new ImageUnpackerError('TOOL_MISSING', what);
}
