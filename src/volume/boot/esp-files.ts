import { ImageUnpackerError } from '../../image/error.js';
import { displayBytes } from '../../image/path.js';
import type { FatFile } from '../disk/fat32.js';
import type { EfiLoader } from './efi-loader.js';
import { grubInEsp, unfitness } from './grub-configuration.js';
import type { ImageFiles } from './image-files.js';

/** Where packages of RPM-based distributions put what belongs into the ESP. */
const ESP_DIRECTORY = 'boot/efi';
const MOST_FILES = 4096;
const MAX_FILE_BYTES = 256 << 20;

/** What the image itself has for the ESP. */
export async function ownEspFiles(files: ImageFiles): Promise<FatFile[]> {
  const found: FatFile[] = [];
  const waiting = [''];
  for (let directory; (directory = waiting.pop()) !== undefined;) {
    for (const bytes of await files.names(ESP_DIRECTORY + directory)) {
      const path = `${directory}/${displayBytes(bytes)}`;
      const entry = await files.find(ESP_DIRECTORY + path);
      if (entry?.entry.type === 'directory') waiting.push(path);
      if (entry?.entry.type !== 'file') continue;
      const content = await files.read({ path: entry.path, entry: entry.entry }, MAX_FILE_BYTES);
      found.push({ path: path.slice(1), bytes: content });
      if (found.length + waiting.length > MOST_FILES)
        throw new ImageUnpackerError(
          'IMAGE_UNSUPPORTED',
          `/${ESP_DIRECTORY} of the image has more than ${String(MOST_FILES)} files`,
        );
    }
  }
  return found;
}

/** What the ESP is to have: what the image has for it, the loader, and what that reads. */
export function espFiles(
  own: readonly FatFile[],
  loader: EfiLoader,
  more: {
    configuration: string;
    vendors: readonly string[];
    ours: readonly string[];
    loaderFiles: readonly FatFile[];
  },
): FatFile[] {
  const files = new Map<string, FatFile>();
  const put = (file: FatFile): void => {
    files.set(file.path.toUpperCase(), file);
  };
  own.forEach(put);
  for (const { name, bytes } of loader.programs) {
    // A loader that the image has put there itself stays.
    const path = `EFI/BOOT/${name}`;
    if (!files.has(path.toUpperCase())) put({ path, bytes });
  }
  more.loaderFiles.forEach(put);
  if (loader.kind !== 'grub') return [...files.values()];
  for (const vendor of new Set(['BOOT', ...loader.vendors, ...more.vendors])) {
    const path = `EFI/${vendor}/grub.cfg`;
    const found = files.get(path.toUpperCase());
    const fit =
      found !== undefined && unfitness(found.bytes.toString('latin1'), more.ours, true) === undefined;
    if (!fit) put({ path, bytes: Buffer.from(grubInEsp(more.configuration)) });
  }
  return [...files.values()];
}
