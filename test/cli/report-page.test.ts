import test from 'ava';
import fc from 'fast-check';
import { reportPage } from '../../src/cli/ami-publisher/report-page/page.js';
import { showText } from '../../src/cli/show.js';
import type { RunRecord } from '../../src/publisher/journal.js';
import type { RunReport } from '../../src/publisher/run-report.js';
import { describeJournal } from '../../src/publisher/run-report.js';
import { anyRun } from '../model/journal-records.js';

const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '</style></title></td></table><b>',
  '&lt;b&gt;',
  '<!-- ',
  ']]>`${1}',
  '\u202Etxt.exe\u0007',
  '{color:red}@import url(//x)',
];

function reportOf(run: RunRecord): RunReport {
  const Changes = {
    from: 'base/T0/T1',
    to: 'base/T0/T2',
    added: ['T3'],
    removed: ['T4'],
    changed: [{ path: 'T5', what: ['content'] }],
    newBytes: 5n,
    packages: { added: [{ name: 'T6', version: 'T7', architecture: 'T8' }], removed: [], changed: [] },
  };
  return { ...describeJournal(run), Changes } as unknown as RunReport;
}

/** The same with other names: those of the model, and of its targets and regions, with something after them. */
function renamed<T>(value: T, suffix: string): T {
  if (typeof value === 'string') {
    return (/^(base|T\d|target-|region-)/.test(value) ? value + suffix : value) as T;
  }
  if (Array.isArray(value)) return value.map((each: unknown) => renamed(each, suffix)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]: [string, unknown]) => [
      renamed(key, suffix),
      renamed(each, suffix),
    ]),
  ) as T;
}

/** The tags of a page, with what its attributes are but for titles, which are texts. */
function tagsOf(page: string): string[] {
  return (page.match(/<[^>]*>/g) ?? []).map(tag => tag.replace(/(title|datetime)="[^"]*"/, '$1'));
}

function textOf(page: string): string {
  return page
    .replace(/<[^>]*>/g, '\n')
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
}

test('names of whatever kind are only text', t => {
  let count = 0;
  fc.assert(
    fc.property(
      anyRun,
      fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'grapheme' })),
      (run, suffix) => {
        count++;
        const report = reportOf(run);
        const page = reportPage(report);
        const other = reportPage(renamed(report, suffix));
        t.deepEqual(tagsOf(other), tagsOf(page));
        t.true(textOf(other).includes(showText(`T3${suffix}`)), suffix);

        t.notRegex(other, /[\u202a-\u202e\u2066-\u2069\0-\x08]/);
      },
    ),
    { numRuns: 200 },
  );
  t.is(count, 200);
});

test('every target has its row, with what the journal tells last, and every stage its bar within the figure', t => {
  fc.assert(
    fc.property(anyRun, run => {
      const report = reportOf(run);
      const page = reportPage(report);
      const [, table = ''] = /<h2 id="targets">(.*?)<\/table>/s.exec(page) ?? [];
      const [, figures = ''] = /<h2 id="timeline">(.*?)<\/section>/s.exec(page) ?? [];
      for (const { Target, State } of report.Targets) {
        const row = table.split('<tr>').filter(each => each.includes(`<th scope="row">${Target}</th>`));
        t.is(row.length, 1);
        t.true(row[0]!.includes(`>${State}</span>`));
        t.true(figures.includes(`<th scope="row">${Target}</th>`));
      }
      const bars = [...figures.matchAll(/left:([\d.]+)%;\s*width:([\d.]+)%/g)];
      t.is(bars.length, report.Attempts.flatMap(({ Stages }) => Stages).length);
      for (const [, left, width] of bars)
        t.true(Number(left) + Number(width) <= 100.01, `${left!} ${width!}`);
      for (const { Error } of report.Targets) if (Error !== undefined) t.true(page.includes(Error));
    }),
    { numRuns: 200 },
  );
});

test('a page asks for nothing that is elsewhere, and runs nothing', t => {
  const [run] = fc.sample(anyRun, { numRuns: 1, seed: 1 });
  const page = reportPage(reportOf(run!));
  t.notRegex(page, /<script|<link|<img|<iframe|\bsrc=|\bhref=|url\(|@import|\son\w+=/);
  t.regex(page, /Content-Security-Policy"\s+content="default-src 'none'; style-src 'unsafe-inline'"/);
  for (const title of page.match(/aria-labelledby="([^"]*)"/g) ?? []) {
    t.true(page.includes(`id=${title.slice('aria-labelledby='.length)}`), title);
  }
});
