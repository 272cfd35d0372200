// `npm run quickstart [-- SOURCE]`: from nothing to two published revisions, and what they cost.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Interrupted, ProgramFailure } from './quickstart/child.mjs';
import { keptDebian, makeDebian } from './quickstart/debian-root.mjs';
import { missingHere, prepare } from './quickstart/prepare.mjs';
import { publishRevisions } from './quickstart/publish-revisions.mjs';
import { showReport } from './quickstart/report.mjs';
import { readRequest, USAGE, UsageError } from './quickstart/request.mjs';
import { Steps } from './quickstart/steps.mjs';

/** Resolves to the exit code. */
async function main() {
  const request = readRequest(process.argv.slice(2), { environment: process.env, directory: process.cwd() });
  if (request === undefined) {
    console.log(USAGE);
    return 0;
  }
  const missing = missingHere();
  if (missing !== undefined) {
    console.error(`quickstart: ${missing}`);
    return 1;
  }
  const signal = abortWhenInterrupted();
  const steps = new Steps(process.stdout);
  await steps.run(
    'Setting up',
    () => prepare(signal),
    note => note,
  );
  mkdirSync(request.kept, { recursive: true, mode: 0o700 });
  const source = request.source ?? (await debian(request.kept, steps, signal));
  const work = mkdtempSync(join(request.kept, 'work-'));
  try {
    const revisions = await publishRevisions({ ...request, source, work, steps, signal });
    console.log(await showReport(request, revisions));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return 0;
}

async function debian(directory, steps, signal) {
  const kept = keptDebian(directory);
  if (kept !== undefined) return kept;
  return steps.run(
    'Making a small Debian, this once',
    () => makeDebian(directory, signal),
    file => file,
  );
}

function abortWhenInterrupted() {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(name, () => {
      if (!controller.signal.aborted) console.error('\nInterrupted; putting things in order');
      controller.abort();
    });
  }
  return controller.signal;
}

/** Shows what went wrong; returns the exit code. */
function report(reason) {
  if (reason instanceof Interrupted) return 130;
  const expected = reason instanceof ProgramFailure || reason instanceof UsageError;
  console.error(`quickstart: ${expected ? reason.message : reason.stack}`);
  return reason instanceof UsageError ? 2 : 1;
}

process.exitCode = await main().catch(report);
