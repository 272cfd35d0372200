import { decodeDiskMap, DISK_BLOCK_SIZE, type DiskMap } from '../image/disk-map.js';
import { ImageUnpackerError } from '../image/error.js';
import { OrderedBlocks } from '../rpc/ordered-blocks.js';
import type { DiskCapture } from '../rpc/unpacker.js';
import type { WorkerProcess } from './worker-process.js';

const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);

/** The run that a capture is a part of. */
export interface CaptureRun {
  /** Stops the worker. */
  abandon: () => void;
  /** Resolves when the stream is free again, however that came. */
  ended: () => Promise<void>;
}

/** A disk that a worker holds and reads. */
export class AgentCapture implements DiskCapture {
  readonly map: DiskMap;
  readonly #worker: WorkerProcess;
  readonly #blocks: OrderedBlocks;
  readonly #run: CaptureRun;

  private constructor(map: DiskMap, worker: WorkerProcess, run: CaptureRun) {
    this.map = map;
    this.#worker = worker;
    this.#run = run;
    this.#blocks = new OrderedBlocks({
      ask: numbers => {
        worker.order({ kind: 'blocks', numbers });
      },
      next: async () => (await worker.frames!.read()) ?? ZEROS,
      abandon: run.abandon,
    });
  }

  /** Waits for the map. */
  static async open(worker: WorkerProcess, run: CaptureRun): Promise<AgentCapture> {
    const map = await worker.frames!.read();
    if (map === undefined) throw new ImageUnpackerError('INTERNAL', 'The worker sent no disk map');
    return new AgentCapture(decodeDiskMap(map), worker, run);
  }

  blocks(numbers: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
    return this.#blocks.take(numbers);
  }

  async close(): Promise<void> {
    if (this.#blocks.reading) this.#run.abandon();
    else this.#worker.order({ kind: 'release' });
    await this.#run.ended();
  }
}
