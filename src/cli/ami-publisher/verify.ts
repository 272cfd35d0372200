import type { Step } from '../../image/progress.js';
import { command } from '../command.js';
import { EXIT_CODES } from '../exit-code.js';
import { flag, manyArguments } from '../option.js';
import { showTable, showText } from '../show.js';
import { joinLines } from './outcome.js';
import { imagesOf, resultOptions } from './target-options.js';

export const verifyCommand = command({
  name: 'verify',
  summary: 'Check that what was published is there and as it was published',
  details: `A disk that seems to have been written to is read, and with --content every disk is: its digest must be that
of the results.`,
  arguments: { results: manyArguments('files that hold what publish --json printed') },
  options: { ...resultOptions, content: flag('--content', 'read every disk, whatever it seems to be') },
  run: async ({ args, options, signal, progress }) => {
    const given = await imagesOf(args.results, options);
    const { verify } = await import('../../publisher/verify.js');
    const steps = new Map<string, Step>();
    const onProgress = (target: string, done: number, total: number): void => {
      const step = steps.get(target) ?? progress.step(`Reading a disk of ${target}`, 'bytes', total);
      step.update(done);
      if (done < total) steps.set(target, step);
      else {
        step.end();
        steps.delete(target);
      }
    };
    return verify({ ...given, content: options.content, signal, onProgress });
  },
  show: rows =>
    joinLines(
      showTable(
        ['TARGET', 'ID', 'IMAGE', 'CONTENT', ''].map(title => ({ title })),
        rows.map(row => [
          row.Target,
          row.AmiId,
          row.ImageName ?? '-',
          row.ContentRead ? 'read' : 'not read',
          row.Error !== undefined ? 'NOT looked at' : row.Verified ? 'as published' : 'NOT as published',
        ]),
      ),
      rows.flatMap(row =>
        row.Problems.map(problem => `${showText(row.Target)}: ${row.AmiId}: ${showText(problem)}`),
      ),
    ),
  exitCode: rows => {
    const good = rows.filter(({ Verified }) => Verified).length;
    if (good === rows.length) return EXIT_CODES.done;
    return good === 0 ? EXIT_CODES.failed : EXIT_CODES.partlyDone;
  },
});
