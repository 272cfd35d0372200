/** What a test run came to. */
export const NOTHING = { passed: 0, failed: 0, skipped: 0 };

// The marks at the beginning of ava's lines. Its own summary leaves out how many passed when one failed.
const MARKS = [
  ['passed', /^ {2}✔ /gm],
  ['failed', /^ {2}(✘ |Uncaught exception in |Unhandled rejection in )/gm],
  ['skipped', /^ {2}- \[(skip|todo)\] /gm],
];

/** Counts the tests in what ava printed. A run that did not end well has failed, whatever it printed. */
export function summarize(output, endedWell) {
  const counts = { ...NOTHING };
  for (const [name, mark] of MARKS) counts[name] = (output.match(mark) ?? []).length;
  if (!endedWell && counts.failed === 0) counts.failed = 1;
  return counts;
}

/** Adds up two runs. */
export function add(a, b) {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/** The last line of `npm test`. */
export function showSummary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}
