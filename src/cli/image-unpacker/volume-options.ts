import type { StateDirectory } from '../../volume/state-directory.js';
import { required, withDefault } from '../option.js';

/** Where the engine keeps what it knows of volumes. */
export const DEFAULT_STATE_DIRECTORY = '/var/lib/image-unpacker';

/** The options of every command that works on a device by itself. */
export const volumeOptions = {
  device: required('--device <device>', 'the block device'),
  stateDir: withDefault(
    '--state-dir <dir>',
    'where what is known of volumes is kept',
    DEFAULT_STATE_DIRECTORY,
  ),
};

/** Does `work` with the state directory, which nobody else works with meanwhile. */
export async function withState<T>(path: string, work: (state: StateDirectory) => Promise<T>): Promise<T> {
  const { StateDirectory } = await import('../../volume/state-directory.js');
  const state = await StateDirectory.open(path);
  try {
    return await work(state);
  } finally {
    await state.close();
  }
}
