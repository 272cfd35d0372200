import { ImageUnpackerError } from '../../image/error.js';
import type { RunReport } from '../../publisher/run-report.js';
import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument, optional } from '../option.js';
import { showSize, showText } from '../show.js';
import { stateOptions } from './unpack-options.js';

export const reportCommand = command({
  name: 'report',
  summary: 'Tell what a run did, as a page to look at',
  details: `The page has no scripts and needs nothing else: when each stage was done in each target, what changed, what was made, and
what went wrong. Of a run that is still going on it tells what was done until now. With a store, the image is compared with the one
before it. With --json the report itself is printed, and --out can be left out.`,
  arguments: { run: argument("the run: 'runs' lists them") },
  options: {
    out: optional('--out <file>', 'the page to write; one that is there is replaced; - is standard output'),
    ...stateOptions,
    ...storeOptions,
  },
  run: async ({ args, options, json, signal }): Promise<RunReport | string> => {
    const { out, stateDir: stateDirectory, store, server } = options;
    if (out === undefined && !json) {
      throw new ImageUnpackerError(
        'USAGE',
        'Say where the page is to be written: --out FILE, or --out - for standard output',
      );
    }
    if (out === '-' && json) {
      throw new ImageUnpackerError(
        'USAGE',
        "Option '--out -' and --json both take standard output; name a file, or leave one out",
      );
    }
    const { reportRun } = await import('../../publisher/report-run.js');
    const report =
      store === undefined && server === undefined
        ? await reportRun(args.run, { stateDirectory, signal })
        : await withStore(options, signal, opened =>
            reportRun(args.run, { stateDirectory, store: opened, signal }),
          );
    if (out === undefined) return report;
    const { reportPage } = await import('./report-page/page.js');
    const page = reportPage(report);
    if (out !== '-') {
      const { replaceDurably } = await import('../../store/durable.js');
      await replaceDurably(out, page);
    }
    return json ? report : page;
  },
  show: (page, { out = '' }) => {
    if (typeof page !== 'string') return '';
    return out === '-' ? page.trimEnd() : `${showText(out)}: ${showSize(Buffer.byteLength(page))}`;
  },
});
