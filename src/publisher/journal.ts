import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';
import { nearest } from '../image/nearest.js';
import { syncDirectory } from '../store/durable.js';
import { tryLock } from '../store/lock.js';
import { makeDirectory } from '../store/make-directory.js';
import type { JournalRecord, RunBegin, Untimed } from './journal-record.js';
import { decodeJournal, RUN } from './journal-record.js';

const CREATE =
  constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND | constants.O_NOFOLLOW;
const OPEN = constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW;

export type { Change, JournalRecord, RunBegin, RunOutcome } from './journal-record.js';

/** Records that are written together. */
interface Waiting {
  readonly lines: string[];
  durably: boolean;
  written: Promise<void>;
}

/** The journal of a run, locked. */
export class Journal {
  readonly begin: RunBegin;
  readonly records: readonly JournalRecord[];
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #now: () => Date;
  /** How many bytes of the file are whole lines, and whether something else may follow them. */
  #length: number;
  #isTorn = false;
  /** What is being written. */
  #turn: Promise<void> = Promise.resolve();
  /** Lines that wait for that: together they are made durable as soon as one of them alone. */
  #waiting: Waiting | undefined;

  private constructor(
    path: string,
    { file, length }: { file: FileHandle; length: number },
    records: readonly JournalRecord[],
    now: () => Date,
  ) {
    this.#path = path;
    this.#file = file;
    this.#length = length;
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
      const journal = new Journal(path, { file, length: 0 }, [record], now);
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
      const { records, end } = decodeJournal(await file.readFile(), path);
      if (records.length === 0) throw unbegun(path);
      // What was not written whole must not become part of the next line.
      await file.truncate(end);
      return new Journal(path, { file, length: end }, records, now);
    } catch (reason) {
      await file?.close();
      const { code } = reason as NodeJS.ErrnoException;
      throw code === 'ENOENT' ? await unknown(stateDirectory, run) : failed(reason, path);
    }
  }

  /** Adds a record, durably. */
  async append(record: Untimed<JournalRecord>): Promise<void> {
    await this.#add(record, true);
  }

  /** Adds a record that nothing rests on: it gets durable with the next one that has to be. */
  async note(record: Untimed<JournalRecord>): Promise<void> {
    await this.#add(record, false);
  }

  async #add(record: Untimed<JournalRecord>, durably: boolean): Promise<void> {
    const timed = { ...record, time: this.#now().toISOString() } as JournalRecord;
    const waiting = (this.#waiting ??= this.#gather());
    waiting.lines.push(lineOf(timed));
    waiting.durably ||= durably;
    await waiting.written;
  }

  #gather(): Waiting {
    const waiting: Waiting = { lines: [], durably: false, written: this.#turn };
    waiting.written = this.#turn.then(() => {
      this.#waiting = undefined;
      return this.#write(waiting.lines.join(''), waiting.durably);
    });
    this.#turn = waiting.written.catch(() => undefined);
    return waiting;
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#file.close();
  }

  async #write(lines: string, durably = true): Promise<void> {
    try {
      // What was not written whole must not become part of the next line.
      if (this.#isTorn) await this.#file.truncate(this.#length);
      this.#isTorn = true;
      await this.#file.appendFile(lines);
      this.#isTorn = false;
      this.#length += Buffer.byteLength(lines);
      if (durably) await this.#file.datasync();
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
    const found = await readJournal(path).catch((reason: unknown) => {
      throw failed(reason, path);
    });
    if (found !== undefined) runs.push(found);
  }
  // Names tell the second only.
  return runs.sort((a, b) => Date.parse(a.begin.time) - Date.parse(b.begin.time));
}

/** What a journal tells; undefined of a run that was ended before it began. Throws `STATE_DAMAGED`. */
async function readJournal(path: string): Promise<RunRecord | undefined> {
  const file = await open(path, READ);
  try {
    const running = !(await tryLock(file.fd, 'shared'));
    const { records } = decodeJournal(await file.readFile(), path);
    const [begin] = records;
    return begin?.record === 'begin' ? { begin, records, running } : undefined;
  } finally {
    await file.close();
  }
}

/** A run that nobody is at work on. Throws `USAGE` when there is none, `STATE_BUSY`, `STATE_DAMAGED`. */
export async function readRun(stateDirectory: string, run: string): Promise<RunRecord> {
  const found = await findRun(stateDirectory, run);
  if (found.running) throw busy(run, pathOf(stateDirectory, run));
  return found;
}

/** A run, be it that somebody is at work on it. Throws `USAGE` when there is none, `STATE_DAMAGED`. */
export async function findRun(stateDirectory: string, run: string): Promise<RunRecord> {
  const path = pathOf(stateDirectory, run);
  const found = await readJournal(path).catch((reason: unknown) => {
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw failed(reason, path);
  });
  if (found === undefined) throw await unknown(stateDirectory, run);
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
