import type { PlanRow } from '../../publisher/plan.js';
import type { ResultRow } from '../../publisher/row.js';
import { showCount, showSize, showTable } from '../show.js';
import { joinLines, showErrors } from './outcome.js';

const WORDS = { publish: 'publish', none: 'published already', refused: 'refused' } as const;

/** Whether rows say what would be done, and not what was. */
export function isPlan(rows: PlanRow[] | ResultRow[]): rows is PlanRow[] {
  return rows.some(row => 'Action' in row);
}

/** What would be done, for people. */
export function showPlan(rows: readonly PlanRow[]): string {
  const columns = ['TARGET', 'STRATEGY', 'ACTION', 'PARENT', 'NEW CONTENT', 'BLOCKS AT LEAST'];
  const table = showTable(
    columns.map((title, at) => ({ title, align: at > 3 ? 'right' : 'left' })),
    rows.map(row => [
      row.Target,
      row.Strategy,
      WORDS[row.Action],
      row.ParentImage ?? row.ParentSnapshotId ?? '-',
      row.NewBytes === undefined ? '-' : showSize(row.NewBytes),
      row.EstimatedBlocks === undefined ? '-' : showCount(row.EstimatedBlocks),
    ]),
  );
  return joinLines(table, showErrors(rows));
}
