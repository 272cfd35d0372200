import type { PlanRow } from '../../publisher/plan.js';
import type { ResultRow } from '../../publisher/row.js';
import { showCount, showCountOf, showDuration, showSize, showTable, showText } from '../show.js';
import { joinLines, showErrors } from './outcome.js';

const WORDS = { publish: 'publish', none: 'published already', refused: 'refused' } as const;
const COLUMNS = [
  'TARGET',
  'STRATEGY',
  'ACTION',
  'PARENT',
  'NEW CONTENT',
  'BLOCKS*',
  'TIME*',
  'COST*',
  'A MONTH*',
];

/** Whether rows say what would be done, and not what was. */
export function isPlan(rows: PlanRow[] | ResultRow[]): rows is PlanRow[] {
  return rows.some(row => 'Action' in row);
}

/** What would be done, for people. */
export function showPlan(rows: readonly PlanRow[]): string {
  const table = showTable(
    COLUMNS.map((title, at) => ({ title, align: at > 3 ? 'right' : 'left' })),
    rows.map(row => [
      row.Target,
      row.Strategy,
      WORDS[row.Action],
      row.ParentImage ?? row.ParentSnapshotId ?? '-',
      shown(row.NewBytes, showSize),
      shown(row.EstimatedBlocks, showCount),
      shown(row.EstimatedSeconds, showDuration),
      shown(row.EstimatedCost, showDollars),
      shown(row.EstimatedMonthlyCost, showDollars),
    ]),
  );
  return joinLines(
    table,
    totals(rows),
    rows.flatMap(showUnpacker),
    rows.flatMap(showPreflight),
    showErrors(rows),
  );
}

function shown(value: number | undefined, show: (value: number) => string): string {
  return value === undefined ? '-' : show(value);
}

function showDollars(dollars: number): string {
  if (dollars === 0) return '0';
  return dollars < 0.0001 ? '<$0.0001' : `$${dollars.toFixed(dollars < 1 ? 4 : 2)}`;
}

function totals(rows: readonly PlanRow[]): string {
  const doing = rows.filter(({ EstimatedSeconds }) => EstimatedSeconds !== undefined);
  if (doing.length === 0) return '';
  const sum = (of: (row: PlanRow) => number | undefined): number =>
    doing.reduce((total, row) => total + (of(row) ?? 0), 0);
  const seconds = Math.max(...doing.map(({ EstimatedSeconds = 0 }) => EstimatedSeconds));
  const once = showDollars(sum(row => row.EstimatedCost));
  const monthly = showDollars(sum(row => row.EstimatedMonthlyCost));
  const blocks = showCountOf(
    sum(row => row.EstimatedBlocks),
    'block',
  );
  return `* estimated: ${blocks} of 512 KiB in all, ${showDuration(seconds)}, ${once} once and ${monthly} a month`;
}

/** What an image would be unpacked with in a target that does that. */
function showUnpacker({
  Target,
  Unpacker,
  UnpackerRuns,
  VolumeId,
  VolumeSize,
  VolumeSizeThen,
  VolumeChangedAt,
}: PlanRow): string[] {
  if (Unpacker === undefined) return [];
  const started = UnpackerRuns === true ? '' : ', which is started';
  const size = `${String(VolumeSizeThen)} GiB`;
  const grown =
    VolumeSize === VolumeSizeThen ? `of ${size}` : `which grows from ${String(VolumeSize)} to ${size}`;
  const volume = VolumeId === undefined ? `a new volume of ${size}` : `the volume ${VolumeId} ${grown}`;
  const refused =
    VolumeChangedAt === undefined
      ? ''
      : `; AWS may refuse that, as it was changed at ${VolumeChangedAt}: it allows four changes in 24 hours`;
  return [`${showText(Target)}: unpacked by ${Unpacker}${started}, to ${volume}${refused}`];
}

/** What was found of a target beforehand: how much is proved, and a line for each thing that is not. */
function showPreflight({ Target, Preflight }: PlanRow): string[] {
  if (Preflight === undefined) return [];
  const open = Preflight.filter(({ state }) => state !== 'ok');
  const proved = Preflight.length - open.length;
  const first = `${showText(Target)}: ${String(proved)} of ${String(Preflight.length)} checks are ok`;
  return [first, ...open.map(({ check, state, message }) => `  ${state}: ${check}: ${showText(message)}`)];
}
