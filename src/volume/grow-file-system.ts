import { ImageUnpackerError } from '../image/error.js';
import type { ProgressSink } from '../image/progress.js';
import type { BlockDevice } from './device.js';
import { lendDevice } from './device.js';
import { repairFileSystem } from './repair-file-system.js';
import { runTool } from './tool.js';

/** Makes a file system as large as its device, content and inode numbers kept. Throws `TOOL_*`, `VOLUME_DAMAGED`. */
export async function growFileSystem(
  device: BlockDevice,
  options: { progress: ProgressSink; signal?: AbortSignal | undefined },
): Promise<void> {
  // resize2fs wants a file system that was checked since it was last mounted.
  await repairFileSystem(device, options);
  const step = options.progress.step('Enlarging the file system');
  try {
    const { status, output } = await lendDevice(device, true, held =>
      runTool('resize2fs', [`/proc/${String(process.pid)}/fd/${String(held.fd)}`], options.signal),
    );
    if (status === 0) return;
    const message = `resize2fs could not enlarge the file system on ${device.path}: ${output}`;
    throw new ImageUnpackerError('TOOL_FAILED', message, { device: device.path });
  } finally {
    step.end();
  }
}
