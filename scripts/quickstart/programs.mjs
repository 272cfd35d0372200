import { join } from 'node:path';
import { ProgramFailure, runToEnd } from './child.mjs';
import { root } from './prepare.mjs';

/** Runs a command of ours with --json; resolves to what it prints. Throws `ProgramFailure` with its own message. */
export async function call(name, parameters, signal) {
  const program = join(root, 'bin', name);
  const { status, stdout, stderr } = await runToEnd(process.execPath, [program, ...parameters, '--json'], {
    signal,
  });
  const result = parse(stdout);
  if (status === 0 && result !== undefined) return result;
  // A target that failed says so in its row.
  const said =
    result?.error?.message ?? (Array.isArray(result) ? result.find(row => row.Error)?.Error : undefined);
  throw new ProgramFailure(
    `${[name, ...parameters].join(' ')} failed:\n${said ?? (stderr.trim() || stdout.trim())}`,
  );
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
