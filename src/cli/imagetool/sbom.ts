import { ImageUnpackerError } from '../../image/error.js';
import { command } from '../command.js';
import { storeOptions, withStore } from '../open-store.js';
import { argument, oneOf, withDefault } from '../option.js';

export const sbomCommand = command({
  name: 'sbom',
  summary: 'Print the packages of an image as a software bill of materials',
  details: `SPDX 2.3 or CycloneDX 1.5, in JSON. The packages are those of the databases of dpkg and rpm, as they were when the image was built.
The same image makes the same document.`,
  arguments: { name: argument('the image') },
  options: {
    ...storeOptions,
    format: withDefault(
      '--format <format>',
      'spdx or cyclonedx',
      'spdx' as const,
      oneOf('spdx', 'cyclonedx'),
    ),
  },
  run: async ({ options, args, signal }): Promise<object> => {
    const { findImage } = await import('../../store/find-image.js');
    const { readPackages } = await import('../../store/packages/read-packages.js');
    const { toCycloneDx, toSpdx } = await import('../../image/sbom.js');
    return withStore(options, signal, async store => {
      const record = await findImage(store, args.name);
      const list = await readPackages(store, record);
      if (list === undefined) {
        const message = `No packages are known of the image ${record.name}: it has no database of dpkg or rpm that could be read, or was built by an older version`;
        throw new ImageUnpackerError('UNSUPPORTED', message, { image: record.name });
      }
      return (options.format === 'spdx' ? toSpdx : toCycloneDx)(record, list);
    });
  },
  show: document => JSON.stringify(document, undefined, 2),
});
