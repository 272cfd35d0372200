import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { ImageUnpackerError } from '../image/error.js';
import { nearest } from '../image/nearest.js';
import { syncDirectory } from '../store/durable.js';
import { tryLock } from '../store/lock.js';
import { makeDirectory } from '../store/make-directory.js';
import type { ResultRow } from './row.js';
import type { Target } from './target.js';

/*
 * What a run is about to do and has done, in the file STATE-DIR/runs/RUN: a line of JSON for each record, each
 * of them durable before what it announces is begun.
 *
 *   {"record":"begin", "time", "run", "image", "digest", "tags", "expiresAt", "targets"}
 *   {"record":"intent", "time", "target", "change"}            before a change to a target
 *   {"record":"sent", "time", "target", "diskId", "blocks"}    blocks of a disk that have arrived, by number
 *   {"record":"outcome", "time", "target", "change", "id"?, "blocksSent"?, "parentId"?, "error"?}     after it
 *   {"record":"end", "time", "outcome", "rows"}
 *
 * A change that has an intent and no outcome may have been made or not; it is found by the run's tag. The file
 * is locked by who works on the run. A last line that is not whole was not finished when the run was ended.
 */

const CREATE =
  constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND | constants.O_NOFOLLOW;
const OPEN = constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW;
const RUN = /^\d{8}T\d{6}Z-[0-9a-f]{6}$/;

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
    error: v.optional(v.string()),
  }),
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
type Untimed<R> = R extends JournalRecord ? Omit<R, 'time'> : never;

/** The journal of a run, locked. */
export class Journal {
  readonly begin: RunBegin;
  readonly records: readonly JournalRecord[];
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #now: () => Date;
  /** What is being written. */
  #turn: Promise<void> = Promise.resolve();
  /** Lines that wait for that: together they are made durable as soon as one of them alone. */
  #waiting: { lines: string[]; written: Promise<void> } | undefined;

  private constructor(path: string, file: FileHandle, records: readonly JournalRecord[], now: () => Date) {
    this.#path = path;
    this.#file = file;
    this.#now = now;
    this.records = records;
    this.begin = records[0] as RunBegin;
  }

  /** Begins the journal of a new run. Throws `NO_SPACE`, `NO_PERMISSION`. */
  static async create(
    stateDirectory: string,
    begin: Omit<RunBegin, 'record' | 'time'>,
    now: () => Date,
  ): Promise<Journal> {
    const path = pathOf(stateDirectory, begin.run);
    let file: FileHandle | undefined;
    try {
      await makeDirectory(dirname(path), 0o700);
      file = await open(path, CREATE, 0o600);
      await tryLock(file.fd, 'exclusive');
      const record: RunBegin = { record: 'begin', time: now().toISOString(), ...begin };
      const journal = new Journal(path, file, [record], now);
      await journal.#write(lineOf(record));
      await syncDirectory(dirname(path));
      return journal;
    } catch (reason) {
      await file?.close();
      if (file !== undefined) await rm(path, { force: true });
      throw failed(reason, path);
    }
  }

  /** Opens the journal of a run to go on with it. Throws `USAGE` when there is none, `STATE_BUSY`, `STATE_DAMAGED`. */
  static async open(stateDirectory: string, run: string, now: () => Date): Promise<Journal> {
    const path = pathOf(stateDirectory, run);
    let file: FileHandle | undefined;
    try {
      file = await open(path, OPEN);
      if (!(await tryLock(file.fd, 'exclusive'))) throw busy(run, path);
      const { records, end } = decode(await file.readFile(), path);
      if (records.length === 0) throw unbegun(path);
      // What was not written whole must not become part of the next line.
      await file.truncate(end);
      return new Journal(path, file, records, now);
    } catch (reason) {
      await file?.close();
      const { code } = reason as NodeJS.ErrnoException;
      throw code === 'ENOENT' ? await unknown(stateDirectory, run) : failed(reason, path);
    }
  }

  /** Adds a record, durably. */
  async append(record: Untimed<JournalRecord>): Promise<void> {
    const timed = { ...record, time: this.#now().toISOString() } as JournalRecord;
    const waiting = (this.#waiting ??= this.#gather());
    waiting.lines.push(lineOf(timed));
    await waiting.written;
  }

  #gather(): { lines: string[]; written: Promise<void> } {
    const lines: string[] = [];
    const written = this.#turn.then(() => {
      this.#waiting = undefined;
      return this.#write(lines.join(''));
    });
    this.#turn = written.catch(() => undefined);
    return { lines, written };
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#file.close();
  }

  async #write(lines: string): Promise<void> {
    try {
      await this.#file.appendFile(lines);
      await this.#file.datasync();
    } catch (reason) {
      throw failed(reason, this.#path);
    }
  }
}

function lineOf(record: JournalRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/** A run as its journal tells of it. */
export interface RunRecord {
  readonly begin: RunBegin;
  readonly records: readonly JournalRecord[];
  /** Whether somebody is at work on it. */
  readonly running: boolean;
}

/** All runs, oldest first. Throws `STATE_DAMAGED`. */
export async function listRuns(stateDirectory: string): Promise<RunRecord[]> {
  const runs: RunRecord[] = [];
  for (const run of await runNames(stateDirectory)) {
    const path = pathOf(stateDirectory, run);
    const file = await open(path, READ).catch((reason: unknown) => {
      throw failed(reason, path);
    });
    try {
      const running = !(await tryLock(file.fd, 'shared'));
      const { records } = decode(await file.readFile(), path);
      const [begin] = records;
      if (begin?.record === 'begin') runs.push({ begin, records, running });
    } finally {
      await file.close();
    }
  }
  // Names tell the second only.
  return runs.sort((a, b) => Date.parse(a.begin.time) - Date.parse(b.begin.time));
}

/** A run that nobody is at work on. Throws `USAGE` when there is none, `STATE_BUSY`, `STATE_DAMAGED`. */
export async function readRun(stateDirectory: string, run: string): Promise<RunRecord> {
  const path = pathOf(stateDirectory, run);
  const found = (await listRuns(stateDirectory)).find(({ begin }) => begin.run === run);
  if (found === undefined) throw await unknown(stateDirectory, run);
  if (found.running) throw busy(run, path);
  return found;
}

async function runNames(stateDirectory: string): Promise<string[]> {
  const directory = join(stateDirectory, 'runs');
  try {
    return (await readdir(directory)).filter(name => RUN.test(name)).sort();
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw failed(reason, directory);
  }
}

/** The records of a journal, and where the whole lines end. One that was ended before it began has none. */
function decode(text: Buffer, path: string): { records: JournalRecord[]; end: number } {
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

function pathOf(stateDirectory: string, run: string): string {
  if (RUN.test(run)) return join(stateDirectory, 'runs', run);
  throw new ImageUnpackerError('USAGE', `"${run}" is no run; they are named like 20261123T060000Z-1a2b3c`);
}

async function unknown(stateDirectory: string, run: string): Promise<ImageUnpackerError> {
  const names = await runNames(stateDirectory);
  const meant = nearest(run, names) ?? names.at(-1);
  const hint = meant === undefined ? `there are none in ${stateDirectory}` : `did you mean ${meant}?`;
  return new ImageUnpackerError('USAGE', `There is no run ${run}; ${hint}`, { path: stateDirectory });
}

function busy(run: string, path: string): ImageUnpackerError {
  const message = `The run ${run} is still going on; wait for its end, or stop it first`;
  return new ImageUnpackerError('STATE_BUSY', message, { path });
}

function unbegun(path: string): ImageUnpackerError {
  const message = `The run of ${path} was ended before it began; nothing was changed, and the file can be removed`;
  return new ImageUnpackerError('STATE_DAMAGED', message, { path });
}

function failed(reason: unknown, path: string): ImageUnpackerError {
  return ImageUnpackerError.from(reason, `Cannot keep the journal ${path}`, { path });
}
