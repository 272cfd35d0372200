import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * The engine with a step taken out that protects something. The sources are copied, and the step is taken out of the
 * copy: the product has no switch that could be left on.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = ['src', 'test', 'package.json', 'tsconfig.json'];
const LINKED = ['node_modules', 'build'];

/** A step that is taken out. */
export interface Mutation {
  name: string;
  file: string;
  /** What stands in the file, exactly once, and what stands there instead. */
  step: string;
  instead: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'the journal entry before the first write',
    file: 'src/volume/volume-record.ts',
    step: `await replaceDurably(join(record.directory, 'journal'), seal(journal), PRIVATE);`,
    instead: '',
  },
  {
    name: 'the sync before clean',
    file: 'src/volume/mounted.ts',
    step: 'if (write) await syncFileSystem(mounted.root);',
    instead: '',
  },
  {
    name: 'the proof of the unmount',
    file: 'src/volume/device.ts',
    step: 'device.file = (await openDevice(device.path, { write })).file;',
    instead: 'device.file = await open(device.path, flags);',
  },
  {
    name: 'the fingerprint',
    file: 'src/volume/superblock.ts',
    step: `fingerprint: createHash('sha256').update(bytes).digest('hex'),`,
    instead: `fingerprint: createHash('sha256').update(bytes.subarray(0x68, 0x78)).digest('hex'),`,
  },
  {
    name: 'the hash after a crash',
    file: 'src/volume/current-tree.ts',
    step: 'new Set(record.journal?.paths)',
    instead: 'new Set<string>()',
  },
  {
    name: 'what earlier interrupted work touched',
    file: 'src/volume/volume-record.ts',
    step: 'new Set([...(record.journal?.paths ?? []), ...work.paths])',
    instead: 'new Set(work.paths)',
  },
  {
    name: 'forgetting before the repair of what somebody else left',
    file: 'src/volume/current-tree.ts',
    step: `if (scan !== 'repair') await forgetState(record);`,
    instead: '',
  },
];

/** Makes a copy of the sources without the step; returns its directory. Throws when the step is not there. */
export function makeMutant({ name, file, step, instead }: Mutation): string {
  const directory = mkdtempSync(join(tmpdir(), 'mutant-'));
  for (const part of COPIED) cpSync(join(ROOT, part), join(directory, part), { recursive: true });
  for (const part of LINKED) symlinkSync(join(ROOT, part), join(directory, part));
  const path = join(directory, file);
  const parts = readFileSync(path, 'utf8').split(step);
  if (parts.length === 2) {
    writeFileSync(path, parts.join(instead));
    return directory;
  }
  rmSync(directory, { recursive: true });
  throw new Error(
    `"${name}" stands ${String(parts.length - 1)} times in ${file}, and not once: mutations.ts must follow`,
  );
}
