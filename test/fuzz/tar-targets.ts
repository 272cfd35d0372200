import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { ErrorCode } from '../../src/image/error.js';
import { decodePage } from '../../src/image/page.js';
import { TreeValidator } from '../../src/image/validate.js';
import { decompress } from '../../src/source/decompress.js';
import { tarSource } from '../../src/source/tar/source.js';
import { readTree } from '../../src/source/tree.js';
import { gather } from '../gather.js';
import { hasAll } from '../has-all.js';
import { MemorySink, treeOptions } from '../source/memory-sink.js';
import { base256, END, header, inChunks, pax, withChecksum, withData } from '../source/tar/archive.js';
import { mutate } from './mutate.js';
import type { Random } from './random.js';
import type { Cases, Target } from './target.js';
import { accepts, must } from './target.js';
import { manifestWriter } from '../model/manifest-writer.js';

const BLOCK = 512;
const OF_SOURCES: readonly ErrorCode[] = [
  'SOURCE_DAMAGED',
  'SOURCE_UNSUPPORTED',
  'SOURCE_EMPTY',
  'LIMIT_EXCEEDED',
];
/** What a mutated size says may be there need not be read for long. */
const LIMITS = { entries: 10_000, nameBytes: 255, xattrBytes: 65_536, sourceBytes: 1 << 20 };

/** Archives of one of every kind of header, made byte by byte. */
function handMade(): Buffer[] {
  const sparse = Buffer.alloc(126);
  sparse.write('00000010000\x0000000010000\0', 0, 'latin1');
  sparse.write('00000100000\0', 97, 'latin1');
  const map: [string, string][] = [
    ['GNU.sparse.major', '0'],
    ['GNU.sparse.minor', '1'],
    ['GNU.sparse.name', 'sparse'],
    ['GNU.sparse.size', '20480'],
    ['GNU.sparse.numblocks', '2'],
    ['GNU.sparse.map', '4096,4,12288,2'],
  ];
  const all = [
    pax([['comment', 'global']], 'g'),
    header({ name: './', type: '5', mode: '0000755\0' }),
    pax([
      ['path', 'caf\xe9'],
      ['SCHILY.xattr.user.x', '\0\xff'],
      ['LIBARCHIVE.xattr.trusted.y', '/wD+'],
      ['SCHILY.acl.access', 'user::rw-,user:7:r--,group::r--,mask::r--,other::---'],
      ['SCHILY.fflags', 'nodump'],
      ['mtime', '-1.5'],
    ]),
    withData({ name: 'x', prefix: 'y' }, 'x'.repeat(600)),
    withData({ name: 'L', type: 'L', magic: 'ustar  ' }, `${'n'.repeat(120)}\0`),
    withData({ name: 'short', magic: 'ustar  ', uid: base256(3_000_000n, 8) }, 'data'),
    header({ name: 'c', type: '3', major: '0000454\0' }),
    header({ name: 'l', type: '2', link: 'target' }),
    header({ name: 'h', type: '1', link: 'c' }),
    withData({ name: 's', type: 'S', magic: 'ustar  ', patch: { at: 386, bytes: sparse } }, 'd'.repeat(4096)),
    Buffer.concat([pax(map), withData({ name: 'packed' }, 'sixsix')]),
  ];
  return [
    Buffer.concat([...all, END]),
    ...all.map(part => Buffer.concat([part, header({ name: 'end' }), END])),
  ];
}

/** Archives of a small tree by the writers that are installed. */
function written(directory: string): Buffer[] {
  const tree = join(directory, 'tree');
  mkdirSync(join(tree, 'a', 'b'.repeat(110)), { recursive: true });
  writeFileSync(join(tree, 'a/file'), 'content');
  linkSync(join(tree, 'a/file'), join(tree, 'z'));
  symlinkSync('t'.repeat(120), join(tree, 'soft'));
  truncateSync(touched(join(tree, 'hole')), 40_000);
  chmodSync(join(tree, 'a'), 0o1751);
  utimesSync(join(tree, 'a/file'), 0, 4_000_000_000.5);
  const archive = join(directory, 'archive');
  const commands = [
    ...['gnu', 'oldgnu', 'ustar', 'v7', 'pax'].map(format => ['tar', `--format=${format}`, '-cSf']),
    ...['0.0', '0.1'].map(version => ['tar', '--format=pax', `--sparse-version=${version}`, '-cSf']),
    ...['pax', 'gnutar', 'ustar'].map(format => ['bsdtar', `--format=${format}`, '-cf']),
  ];
  return commands.flatMap(([program, ...options]) => {
    const { status } = spawnSync(program!, [...options, archive, '-C', tree, '.'], { stdio: 'ignore' });
    return status === 0 ? [readFileSync(archive)] : [];
  });
}

function touched(path: string): string {
  writeFileSync(path, '');
  return path;
}

/** Makes the checksums of what looks like headers right, of most of them. */
function mended(bytes: Buffer, random: Random): Buffer {
  for (let at = 0; at + BLOCK <= bytes.length; at += BLOCK) {
    const block = bytes.subarray(at, at + BLOCK);
    const looksLikeOne =
      block.toString('latin1', 257, 262) === 'ustar' ||
      /^[0-7]{6,7}[\0 ]/.test(block.toString('latin1', 100, 108));
    if (looksLikeOne && !random.onceIn(30)) withChecksum(block);
  }
  return bytes;
}

/** Tar files. What is accepted makes a tree, and pages that a reader of images takes. */
export const tarTarget: Target = {
  name: 'tar',
  prepare: directory => {
    const archives = [...handMade(), ...written(directory)];
    return Promise.resolve({
      attempt: (random: Random) =>
        accepts(OF_SOURCES, async () => {
          const bytes = mended(mutate(random.of(archives), random, random.of(archives)), random);
          const source = tarSource(() => inChunks(bytes, 1 + random.below(9000)), 'fuzzed.tar', LIMITS);
          const tree = await readTree(source, new MemorySink(), treeOptions({ limits: LIMITS }));
          const [writer, validator] = [manifestWriter(), new TreeValidator()];
          let count = 0;
          for (const entry of tree.entries()) {
            validator.add(entry);
            writer.add(entry);
            count++;
          }
          const { page, index } = writer.finish();
          validator.finish(index.index);
          must(
            index.index.pages.length > 1 || decodePage(page.bytes).length === count,
            'its page cannot be read',
          );
        }),
    } satisfies Cases);
  },
};

/** Compressed tar files: what is accepted is what was compressed, as checksums say, or not compressed at all. */
export const compressedTarget: Target = {
  name: 'compressed',
  prepare: directory => {
    const [first, plain] = [Buffer.from('one'), Buffer.concat(handMade())];
    const contents = [plain, Buffer.concat([first, plain]), first];
    const file = join(directory, 'plain');
    writeFileSync(file, plain);
    const inputs = [gzipSync(plain), Buffer.concat([gzipSync(first), gzipSync(plain)])];
    for (const program of ['xz', 'zstd'])
      if (hasAll(`what ${program} compresses`, { programs: [program] }))
        inputs.push(execFileSync(program, ['-qc', file]));
    return Promise.resolve({
      attempt: (random: Random) =>
        accepts(OF_SOURCES, async () => {
          // To start a program takes ten times as long as all else.
          const input = random.onceIn(20) ? random.of(inputs) : random.of(inputs.slice(0, 2));
          const bytes = random.onceIn(20) ? input : mutate(input, random, random.of(inputs));
          const output = Buffer.concat(
            await gather(decompress(inChunks(bytes, 1 + random.below(9000)), 'fuzzed')),
          );
          const isRight = [...contents, bytes].some(content => content.equals(output));
          must(isRight, 'it is other than what was compressed');
        }),
    } satisfies Cases);
  },
};
