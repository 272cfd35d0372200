import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { extname } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { cancelled, ImageUnpackerError } from '../image/error.js';
import type { UnpackResult } from '../rpc/unpacker.js';
import { FrameReader } from './frames.js';
import type { Advance, Order, Report, Work } from './work.js';
import { FRAMES_DESCRIPTOR, receivedError } from './work.js';

/** How long a worker may take to put things in order once it is told to stop; then it is killed. */
const GRACE_SECONDS = 20;

/** The compiled worker, or, where the sources are run as they are, its source. */
const WORKER = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url));

/** What a worker is started with. */
export interface WorkerOptions {
  /** The open file of the state directory's lock, which the worker inherits. */
  lock: number;
  /** When it is aborted the worker is told to stop, and killed if it does not. */
  signal: AbortSignal;
  onAdvance: (advance: Advance) => void;
}

/** A process that works on one volume. */
export class WorkerProcess {
  readonly pid: number | undefined;
  /** The frames that a capture sends. */
  readonly frames: FrameReader | undefined;
  /** Settles when the process has ended: with the result, or the reason why there is none. */
  readonly ended: Promise<UnpackResult | null>;
  readonly #child: ChildProcess;

  constructor(work: Work, { lock, signal, onAdvance }: WorkerOptions) {
    const capture = work.kind === 'capture';
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc', capture ? 'pipe' : 'ignore', lock] as const;
    this.#child = fork(WORKER, { stdio: [...stdio] });
    this.pid = this.#child.pid;
    this.frames = capture
      ? new FrameReader(this.#child.stdio[FRAMES_DESCRIPTOR] as unknown as Readable)
      : undefined;
    this.ended = this.#end(work, signal, onAdvance);
    // Who waits for a frame learns of a failure here.
    this.ended.catch((reason: unknown) => this.frames?.fail(reason as Error));
    this.order({ kind: 'begin', work });
  }

  /** Says something to the worker; one that has ended does not hear it. */
  order(order: Order): void {
    if (this.#child.connected) this.#child.send(order, () => undefined);
  }

  async #end(
    work: Work,
    signal: AbortSignal,
    onAdvance: (advance: Advance) => void,
  ): Promise<UnpackResult | null> {
    let killer: NodeJS.Timeout | undefined;
    const stop = (): void => {
      this.order({ kind: 'stop' });
      killer = setTimeout(() => this.#child.kill('SIGKILL'), GRACE_SECONDS * 1000);
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    let last: Report | undefined;
    this.#child.on('message', (report: Report) => {
      if (report.kind === 'progress') onAdvance(report.advance);
      else last = report;
    });
    const how = await ending(this.#child);
    this.#child.stdio[FRAMES_DESCRIPTOR]?.destroy();
    clearTimeout(killer);
    signal.removeEventListener('abort', stop);
    if (last?.kind === 'done') return last.result;
    if (last?.kind === 'failed') throw receivedError(last.error);
    throw signal.aborted ? cancelled() : died(work, how);
  }
}

/** Waits until a process has ended and all that it said has been heard; resolves to how it ended. */
async function ending(child: ChildProcess): Promise<string | Error> {
  let how = '';
  const exit = new Promise<void>(resolve => {
    child.once('exit', (code, killedBy) => {
      how = killedBy ?? `with the code ${String(code)}`;
      resolve();
    });
  });
  const silence = new Promise<void>(resolve => child.once('disconnect', resolve));
  const failure = new Promise<Error>(resolve => child.once('error', resolve));
  return Promise.race([failure, Promise.all([exit, silence]).then(() => how)]);
}

function died(work: Work, how: string | Error): ImageUnpackerError {
  if (how instanceof Error) return ImageUnpackerError.from(how, 'Cannot start the process for the work');
  const doing = work.kind === 'unpack' ? `unpacked ${work.image}` : 'captured the disk';
  const path = work.volume.path;
  if (work.kind === 'capture') {
    return new ImageUnpackerError(
      'INTERNAL',
      `The process that ${doing} on ${path} ended (${how}); capture again`,
    );
  }
  return new ImageUnpackerError(
    'VOLUME_DOUBTFUL',
    `The process that ${doing} on ${path} was ended (${how}); unpack again, which repairs the volume`,
    { device: path },
  );
}
