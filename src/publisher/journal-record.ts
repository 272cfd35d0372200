import * as v from 'valibot';
import { ImageUnpackerError } from '../image/error.js';
import { STAGES } from './event.js';
import type { ResultRow } from './row.js';
import type { Target } from './target.js';

/*
 * What a run is about to do and has done, in the file STATE-DIR/runs/RUN: a line of JSON for each record. What
 * announces or tells of a change is durable before anything else is done.
 *
 *   {"record":"begin", "time", "run", "image", "digest", "tags", "expiresAt", "targets"}
 *   {"record":"intent", "time", "target", "change"}            before a change to a target
 *   {"record":"sent", "time", "target", "diskId", "blocks"}    blocks of a disk that have arrived, by number
 *   {"record":"outcome", "time", "target", "change", "id"?, "blocksSent"?, "parentId"?, "parentImage"?, "error"?}
 *                                                              after it
 *   {"record":"begun", "time", "target", "stage"}              a stage; "target" is null for what is done for all
 *   {"record":"ended", "time", "target", "stage", "seconds", "error"?}
 *   {"record":"reopened", "time", "to"}                        to "resume" it or to "roll-back", after it was left
 *   {"record":"end", "time", "outcome", "rows"}
 *
 * A change that has an intent and no outcome may have been made or not; it is found by the run's tag. Records of stages
 * and "reopened" only tell when things were done: older journals have none. The file is locked by who works on the run.
 * A last line that is not whole was not finished when the run was ended.
 */

/** What runs are called. */
export const RUN = /^\d{8}T\d{6}Z-[0-9a-f]{6}$/;

/** What is changed in a target. */
export type Change = 'remove-disk' | 'remove-image' | 'create-disk' | 'register';
/** How a run ended. */
export type RunOutcome = 'done' | 'partly' | 'failed' | 'rolled-back';

const time = v.string();
const beginSchema = v.object({
  record: v.literal('begin'),
  time,
  run: v.pipe(v.string(), v.regex(RUN)),
  image: v.string(),
  digest: v.string(),
  tags: v.record(v.string(), v.string()),
  expiresAt: v.nullable(v.string()),
  targets: v.array(
    v.custom<Target>(target => typeof target === 'object' && target !== null && 'kind' in target),
  ),
});
const change = v.picklist(['remove-disk', 'remove-image', 'create-disk', 'register']);
const stage = v.picklist(STAGES);
const recordSchema = v.variant('record', [
  beginSchema,
  v.object({ record: v.literal('intent'), time, target: v.string(), change }),
  v.object({
    record: v.literal('outcome'),
    time,
    target: v.string(),
    change,
    id: v.optional(v.string()),
    blocksSent: v.optional(v.number()),
    parentId: v.optional(v.string()),
    parentImage: v.optional(v.string()),
    error: v.optional(v.string()),
  }),
  v.object({ record: v.literal('begun'), time, target: v.nullable(v.string()), stage }),
  v.object({
    record: v.literal('ended'),
    time,
    target: v.nullable(v.string()),
    stage,
    seconds: v.number(),
    error: v.optional(v.string()),
  }),
  v.object({ record: v.literal('reopened'), time, to: v.picklist(['resume', 'roll-back']) }),
  v.object({
    record: v.literal('sent'),
    time,
    target: v.string(),
    diskId: v.string(),
    blocks: v.array(v.number()),
  }),
  v.object({
    record: v.literal('end'),
    time,
    outcome: v.picklist(['done', 'partly', 'failed', 'rolled-back']),
    rows: v.array(v.custom<ResultRow>(row => typeof row === 'object' && row !== null)),
  }),
]);

/** What a run was begun with. */
export type RunBegin = v.InferOutput<typeof beginSchema>;
/** A line of a journal. */
export type JournalRecord = v.InferOutput<typeof recordSchema>;
/** What is told of a record when it is made. */
export type Untimed<R> = R extends JournalRecord ? Omit<R, 'time'> : never;

/** The records of a journal, and where the whole lines end. One that was ended before it began has none. Throws `STATE_DAMAGED`. */
export function decodeJournal(text: Buffer, path: string): { records: JournalRecord[]; end: number } {
  const end = text.lastIndexOf(0x0a) + 1;
  const lines = text.toString('utf8', 0, end).split('\n').slice(0, -1);
  const records = lines.map((line, at) => {
    const result = v.safeParse(recordSchema, parseLine(line));
    if (result.success && (at === 0) === (result.output.record === 'begin')) return result.output;
    const message = `The journal ${path} is damaged in line ${String(at + 1)}`;
    throw new ImageUnpackerError('STATE_DAMAGED', message, { path });
  });
  return { records, end };
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
