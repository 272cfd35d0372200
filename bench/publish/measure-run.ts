import type { ResultRow } from '../../src/publisher/row.js';

/** What is told of the rows of a run beside what it cost. */
interface Told {
  blocks: (row: ResultRow) => number;
  digest: (row: ResultRow) => string | null | undefined;
}

/** Runs what publishes, and prints what it cost and how its rows ended, as one JSON document. */
export async function measureRun(
  run: () => Promise<readonly ResultRow[]>,
  { blocks, digest }: Told,
): Promise<void> {
  const began = performance.now();
  const before = process.cpuUsage();
  const rows = await run();
  const { user, system } = process.cpuUsage(before);
  const failures = rows.flatMap(({ Error }) => (Error === undefined ? [] : [Error]));
  console.log(
    JSON.stringify({
      seconds: (performance.now() - began) / 1000,
      cpu: (user + system) / 1e6,
      memory: process.resourceUsage().maxRSS * 1024,
      blocks: rows.reduce((sum, row) => sum + blocks(row), 0),
      digests: new Set(rows.map(digest)).size,
      failed: failures.length,
      failure: failures[0] ?? null,
    }),
  );
}
