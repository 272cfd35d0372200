import { decodeDiskMap, DISK_BLOCK_SIZE, type DiskMap } from '../image/disk-map.js';
import { ImageUnpackerError } from '../image/error.js';
import { OrderedBlocks } from '../rpc/ordered-blocks.js';
import type { DiskCapture } from '../rpc/unpacker.js';
import type { WorkerProcess } from './worker-process.js';

const ZEROS = Buffer.alloc(DISK_BLOCK_SIZE);

/** A disk that a worker holds and reads. */
export class AgentCapture implements DiskCapture {
  readonly map: DiskMap;
  readonly #worker: WorkerProcess;
  readonly #blocks: OrderedBlocks;
  readonly #abandon: () => void;

  private constructor(map: DiskMap, worker: WorkerProcess, abandon: () => void) {
    this.map = map;
    this.#worker = worker;
    this.#abandon = abandon;
    this.#blocks = new OrderedBlocks({
      ask: numbers => {
        worker.order({ kind: 'blocks', numbers });
      },
      next: async () => (await worker.frames!.read()) ?? ZEROS,
      abandon,
    });
  }

  /** Waits for the map. `abandon` stops the worker. */
  static async open(worker: WorkerProcess, abandon: () => void): Promise<AgentCapture> {
    const map = await worker.frames!.read();
    if (map === undefined) throw new ImageUnpackerError('INTERNAL', 'The worker sent no disk map');
    return new AgentCapture(decodeDiskMap(map), worker, abandon);
  }

  blocks(numbers: readonly number[]): AsyncGenerator<Buffer, void, undefined> {
    return this.#blocks.take(numbers);
  }

  async close(): Promise<void> {
    if (this.#blocks.reading) this.#abandon();
    else this.#worker.order({ kind: 'release' });
    // How the work ended is said where it was begun; here it is enough that it has.
    await this.#worker.ended.catch(() => undefined);
  }
}
