import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DISK_BLOCK_SIZE, type DiskMap } from '../../src/image/disk-map.js';
import { cancelled } from '../../src/image/error.js';
import type {
  CallOptions,
  DeviceStatus,
  DiskCapture,
  StreamStatus,
  Unpacker,
  UnpackerStatus,
  UnpackRequest,
  UnpackResult,
} from '../../src/rpc/unpacker.js';

/** The map of a disk of whole blocks. */
export function mapOf(blocks: readonly Buffer[]): DiskMap {
  const present = Buffer.alloc(Math.ceil(blocks.length / 8));
  const digests: Buffer[] = [];
  for (const [number, block] of blocks.entries()) {
    if (block.every(byte => byte === 0)) continue;
    present[number >>> 3]! |= 1 << (number & 7);
    digests.push(createHash('sha256').update(block).digest());
  }
  return { size: BigInt(blocks.length * DISK_BLOCK_SIZE), present, digests: Buffer.concat(digests) };
}

/** A disk of `count` blocks, every third of them zeros. */
export function makeBlocks(count: number): Buffer[] {
  return Array.from({ length: count }, (_, number) =>
    Buffer.alloc(DISK_BLOCK_SIZE, number % 3 === 0 ? 0 : number),
  );
}

export const RESULT: UnpackResult = {
  image: 'os/a/1',
  digest: 'd1',
  from: null,
  scan: 'none',
  entries: { added: 1, removed: 2, changed: 3, unchanged: 4 },
  bytesFetched: 5,
  bytesWritten: 2 ** 40,
  blocksWritten: null,
  generated: ['etc/fstab'],
  boot: { architecture: 'arm64', bootMode: 'uefi', rootDevice: '/dev/xvda', kernels: ['6.2', '6.1'] },
  warnings: ['surprise'],
  scrubbed: true,
  seconds: { total: 1.5, plan: 0 },
};

export const STREAM: StreamStatus = {
  stream: 'os/a',
  state: 'busy',
  device: '/dev/nvme1n1',
  image: null,
  digest: 'd0',
  size: 2 ** 40,
  progress: { stream: 'os/a', step: 'Fetching objects', done: 3, total: null, unit: 'bytes' },
  error: { code: 'NO_SPACE', message: 'full' },
  lastUsed: '2026-11-23T06:00:00.000Z',
};

export const DEVICE: DeviceStatus = {
  id: 'vol0',
  path: '/dev/nvme1n1',
  size: 2 ** 40,
  stream: null,
  unusable: 'is in use',
};

/** An unpacker of which a test says what it does. */
export class FakeUnpacker implements Unpacker {
  readonly calls: string[] = [];
  readonly blockList: Buffer[] = makeBlocks(40);
  /** Thrown by every call. */
  failure: Error | undefined;
  /** Calls wait until they are cancelled. */
  waits = false;
  open = 0;

  async unpack(request: UnpackRequest, { signal, onProgress }: CallOptions = {}): Promise<UnpackResult> {
    await this.#called(`unpack ${JSON.stringify(request)}`, signal);
    onProgress?.(STREAM.progress!);
    return RESULT;
  }

  async capture(
    stream: string,
    digest: string,
    { signal, onProgress }: CallOptions = {},
  ): Promise<DiskCapture> {
    await this.#called(`capture ${stream} ${digest}`, signal);
    onProgress?.(STREAM.progress!);
    this.open++;
    const { blockList } = this;
    return {
      map: mapOf(makeBlocks(blockList.length)),
      blocks: async function* (numbers) {
        for (const number of numbers) {
          await sleep(0);
          yield blockList[number]!;
        }
      },
      close: () => {
        this.open--;
        return Promise.resolve();
      },
    };
  }

  async status({ signal }: CallOptions = {}): Promise<UnpackerStatus> {
    await this.#called('status', signal);
    return { version: '1', startedAt: '2026-11-23T06:00:00.000Z', lastUsed: null, streams: [STREAM] };
  }

  async devices({ signal }: CallOptions = {}): Promise<DeviceStatus[]> {
    await this.#called('devices', signal);
    return [DEVICE];
  }

  async pin(stream: string, device: string, { signal }: CallOptions = {}): Promise<StreamStatus> {
    await this.#called(`pin ${stream} ${device}`, signal);
    return STREAM;
  }

  async forget(stream: string, removeVolume: boolean, { signal }: CallOptions = {}): Promise<void> {
    await this.#called(`forget ${stream} ${String(removeVolume)}`, signal);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #called(what: string, signal: AbortSignal | undefined): Promise<void> {
    this.calls.push(what);
    if (this.failure !== undefined) throw this.failure;
    if (!this.waits) return;
    await new Promise(resolve => signal?.addEventListener('abort', resolve, { once: true }));
    this.calls.push('cancelled');
    throw cancelled();
  }
}
