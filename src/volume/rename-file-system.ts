import { ImageUnpackerError } from '../image/error.js';
import type { BlockDevice } from './device.js';
import { lendDevice } from './device.js';
import { runTool } from './tool.js';

/** Gives a file system another UUID, if it has not that one. Throws `TOOL_*`. */
export async function renameFileSystem(
  device: BlockDevice,
  uuid: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { status, output } = await lendDevice(device, true, held =>
    runTool('tune2fs', ['-U', uuid, `/proc/${String(process.pid)}/fd/${String(held.fd)}`], signal),
  );
  if (status === 0) return;
  const message = `tune2fs could not give the file system on ${device.path} another UUID: ${output}`;
  throw new ImageUnpackerError('TOOL_FAILED', message, { device: device.path });
}
