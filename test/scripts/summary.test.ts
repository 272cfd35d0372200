import test from 'ava';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const { add, showSummary, summarize } = (await import(
  new URL('../../scripts/summary.mjs', import.meta.url).href
)) as {
  summarize(this: void, output: string, endedWell: boolean): Counts;
  add(this: void, a: Counts, b: Counts): Counts;
  showSummary(this: void, counts: Counts): string;
};

const output = `
  ✔ cli › one (12ms)
    ℹ ✔ said by a test
  ✔ [expected fail] cli › known
  ✘ [fail]: cli › two ✔ x
  ✘ Timed out while running tests
  - [skip] cli › three
  - [todo] cli › four
  Uncaught exception in test/a.test.js
  ─
  1 test failed
`;

test('what ava prints is counted', t => {
  t.deepEqual(summarize(output, false), { passed: 2, failed: 3, skipped: 2 });
  t.deepEqual(summarize('  ✔ one\n', true), { passed: 1, failed: 0, skipped: 0 });
});

test('a run that did not end well has failed', t => {
  t.deepEqual(summarize('', false), { passed: 0, failed: 1, skipped: 0 });
});

test('the last line', t => {
  const [one, other] = [summarize(output, false), summarize('  ✔ one\n', true)];
  t.is(showSummary(add(one, other)), '3 passed, 3 failed, 2 skipped');
  t.is(showSummary(other), '1 passed, 0 failed');
});
