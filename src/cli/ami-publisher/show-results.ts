import type { ResultRow } from '../../publisher/row.js';
import { showCount, showDuration, showSize, showTable, showText } from '../show.js';
import { joinLines, showErrors } from './outcome.js';

/** What was published, for people. */
export function showResults(rows: readonly ResultRow[]): string {
  const columns = ['TARGET', 'IMAGE', 'SIZE', 'BLOCKS', 'TIME', ''];
  const table = showTable(
    columns.map((title, at) => ({ title, align: at > 1 && at < 5 ? 'right' : 'left' })),
    rows.map(row => [
      row.Target,
      row.AmiId ?? '-',
      row.DiskSize === undefined ? '-' : showSize(row.DiskSize),
      showCount(row.BlocksSent),
      showDuration(Object.values(row.Stages).reduce((sum, seconds) => sum + seconds, 0)),
      stateOf(row),
    ]),
  );
  const run = rows.find(row => row.Run !== undefined && !row.AlreadyPublished)?.Run;
  const paths = rows.flatMap(({ Path }) => (Path === undefined ? [] : [showText(Path)]));
  return joinLines(run === undefined ? '' : `Run ${run}`, table, paths, showErrors(rows));
}

function stateOf(row: ResultRow): string {
  if (row.Error !== undefined) return 'failed';
  return row.AlreadyPublished ? 'published already' : 'published';
}
