import { command } from '../command.js';
import { unpackerOptions, withUnpacker } from '../open-unpacker.js';
import { showSize, showTable } from '../show.js';

const COLUMNS = [
  { title: 'ID' },
  { title: 'PATH' },
  { title: 'SIZE', align: 'right' },
  { title: 'STREAM' },
  { title: 'UNUSABLE BECAUSE IT' },
] as const;

export const devicesCommand = command({
  name: 'devices',
  summary: "List the block devices of an agent's machine",
  options: unpackerOptions,
  run: ({ options, signal }) => withUnpacker(options, signal, unpacker => unpacker.devices({ signal })),
  show: devices => {
    if (devices.length === 0) return 'No block devices';
    const rows = devices.map(({ id, path, size, stream, unusable }) => [
      id,
      path,
      showSize(size),
      stream ?? '-',
      unusable ?? '',
    ]);
    return showTable(COLUMNS, rows);
  },
});
