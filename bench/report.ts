import type { Column } from '../src/cli/show.js';
import { showTable } from '../src/cli/show.js';
import type { Cost } from './measure.js';
import type { Score, TaskScores } from './task.js';

const MIB = 1 << 20;
const COLUMNS: readonly Column[] = [
  { title: 'tool' },
  ...['wall s', 'from-to', 'CPU s', 'memory MiB', 'written MiB', 'blocks'].map(right),
  ...['wall ratio', 'CPU ratio', 'blocks ratio'].map(right),
  { title: 'result' },
];

function right(title: string): Column {
  return { title, align: 'right' };
}

/** The medians of each quantity; null where a run had none. */
export function mediansOf(costs: readonly Cost[]): Cost | undefined {
  if (costs.length === 0) return undefined;
  return {
    wall: median(costs.map(cost => cost.wall)),
    cpu: median(costs.map(cost => cost.cpu)),
    memory: median(costs.map(cost => cost.memory)),
    written: medianOrNull(costs.map(cost => cost.written)),
    blocks: medianOrNull(costs.map(cost => cost.blocks)),
  };
}

/** The middle one, or what lies between the two in the middle. */
function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

function medianOrNull(numbers: readonly (number | null)[]): number | null {
  const known = numbers.filter(number => number !== null);
  return known.length === numbers.length ? median(known) : null;
}

/** A task as a table: the medians of each tool, and their ratios to those of the base. */
export function showScores({ title, base, scores }: TaskScores): string {
  const reference = mediansOf(scores.find(score => score.tool === base)?.costs ?? []);
  const rows = scores.map(score => rowOf(score, reference));
  return `${title} (ratios to ${base})\n${showTable(COLUMNS, rows)}\n`;
}

function rowOf({ tool, costs, result }: Score, base: Cost | undefined): string[] {
  const middle = mediansOf(costs);
  if (middle === undefined) return [tool, ...Array<string>(COLUMNS.length - 2).fill(''), `FAILED: ${result}`];
  const walls = costs.map(cost => cost.wall);
  return [
    tool,
    showSeconds(middle.wall),
    `${showSeconds(Math.min(...walls))}-${showSeconds(Math.max(...walls))}`,
    middle.cpu.toFixed(2),
    (middle.memory / MIB).toFixed(0),
    middle.written === null ? '-' : (middle.written / MIB).toFixed(1),
    middle.blocks === null ? '-' : String(middle.blocks),
    ratio(middle.wall, base?.wall),
    ratio(middle.cpu, base?.cpu),
    ratio(middle.blocks, base?.blocks),
    result,
  ];
}

function showSeconds(seconds: number): string {
  return seconds.toFixed(seconds < 0.1 ? 4 : 2);
}

function ratio(value: number | null, base: number | null | undefined): string {
  return value === null || !base ? '-' : (value / base).toFixed(2);
}
