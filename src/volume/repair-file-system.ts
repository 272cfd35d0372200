import { ImageUnpackerError } from '../image/error.js';
import type { ProgressSink } from '../image/progress.js';
import type { BlockDevice } from './device.js';
import { lendDevice } from './device.js';
import { runTool } from './tool.js';

/** Exit statuses of e2fsck that mean that the file system is in order now (e2fsck(8)): 1 and 2 are "corrected". */
const IN_ORDER = 0b11;

/** Makes a file system consistent after a crash. What its files hold is another matter. */
export async function repairFileSystem(
  device: BlockDevice,
  options: { progress: ProgressSink; signal?: AbortSignal | undefined },
): Promise<void> {
  const step = options.progress.step('Repairing the file system');
  try {
    const { status, output } = await lendDevice(device, true, held =>
      runTool('e2fsck', ['-f', '-y', `/proc/${String(process.pid)}/fd/${String(held.fd)}`], options.signal),
    );
    if ((status & ~IN_ORDER) === 0) return;
    throw new ImageUnpackerError(
      'VOLUME_DAMAGED',
      `e2fsck could not repair the file system on ${device.path} (status ${String(status)}): ${output}`,
      { device: device.path },
    );
  } finally {
    step.end();
  }
}
