import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { ErrorCode } from '../../src/image/error.js';
import { decodePage } from '../../src/image/page.js';
import { TreeValidator } from '../../src/image/validate.js';
import { readImage } from '../../src/source/oci/read-image.js';
import type { Tree } from '../../src/source/tree.js';
import { MemorySink, treeOptions } from '../source/memory-sink.js';
import type { Piece } from '../source/oci/layout.js';
import { json, layerOf, Layout, sha256, tarOf } from '../source/oci/layout.js';
import { mutate } from './mutate.js';
import type { Random } from './random.js';
import type { Cases, Target } from './target.js';
import { accepts, must } from './target.js';
import { manifestWriter } from '../model/manifest-writer.js';

const CODES: readonly ErrorCode[] = [
  'SOURCE_DAMAGED',
  'SOURCE_UNSUPPORTED',
  'SOURCE_MISSING',
  'SOURCE_EMPTY',
  'LIMIT_EXCEEDED',
];
const LIMITS = { entries: 10_000, nameBytes: 255, xattrBytes: 65_536, sourceBytes: 1 << 20 };
const PLATFORM = { os: 'linux', architecture: 'amd64' };

const NAMES = ['a', 'a/b', 'a/b/c', 'd', 'd/a', 'top', 'a/top'];
const PREFIXES = ['', './', '.wh.', '/'];

/** An entry of a layer; names are few, so that layers meet. */
function pieceOf(random: Random): Piece {
  const name = random.of(NAMES);
  const [parent, leaf] = [name.slice(0, name.lastIndexOf('/') + 1), name.slice(name.lastIndexOf('/') + 1)];
  if (random.onceIn(6)) return { path: `${parent}.wh.${random.onceIn(3) ? '.wh..opq' : leaf}` };
  const path = random.onceIn(20) ? `${random.of(PREFIXES)}${name}` : name;
  const type = random.of([
    'file',
    'file',
    'directory',
    'directory',
    random.onceIn(3) ? 'symlink' : 'file',
    random.onceIn(3) ? 'link' : 'file',
  ] as const);
  return { path, type, data: random.of(['', 'one', 'two'.repeat(200)]), target: random.of(NAMES) };
}

function layer(random: Random): Buffer {
  const bytes = layerOf(Array.from({ length: 1 + random.below(6) }, () => pieceOf(random)));
  return random.onceIn(6) ? mutate(bytes, random, bytes) : bytes;
}

/** A document, changed now and then. What names it by digest is made after it, so that it is read all the same. */
function document(value: object, random: Random): Buffer {
  const bytes = json(value);
  return random.onceIn(8) ? mutate(bytes, random, bytes) : bytes;
}

/** The files of a layout whose digests are right, however its parts were changed. */
function layout(random: Random): Map<string, Buffer> {
  const made = new Layout();
  const layers = Array.from({ length: 1 + random.below(3) }, () => layer(random));
  const config = made.blob(
    document({ ...PLATFORM, rootfs: { type: 'layers', diff_ids: diffIds(layers) } }, random),
  );
  const manifest = {
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: layers.map(bytes => {
      const isPacked = random.onceIn(3);
      const mediaType = `application/vnd.oci.image.layer.v1.tar${isPacked ? '+gzip' : ''}`;
      return { mediaType, ...made.blob(isPacked ? gzipSync(bytes) : bytes) };
    }),
  };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  made.manifests.push({ mediaType, ...made.blob(document(manifest, random)) });
  if (random.onceIn(3)) made.nest('tag');
  const files = made.all();
  for (const name of ['index.json', 'oci-layout'])
    if (random.onceIn(10)) files.set(name, mutate(files.get(name)!, random, files.get('index.json')!));
  damageOne(files, random);
  return files;
}

const diffIds = (layers: readonly Buffer[]): string[] => layers.map(bytes => `sha256:${sha256(bytes)}`);

/** Now and then a file has other bytes than its name says, or is not there. */
function damageOne(files: Map<string, Buffer>, random: Random): void {
  if (!random.onceIn(8)) return;
  const path = random.of([...files.keys()]);
  if (random.onceIn(3)) files.delete(path);
  else files.set(path, mutate(files.get(path)!, random, files.get(path)!));
}

/** What `docker save` of before 25 writes, or since. */
function archive(random: Random): Buffer {
  if (random.onceIn(3)) return tarOf(layout(random));
  const layers = Array.from({ length: 1 + random.below(3) }, () => layer(random));
  const config = document({ ...PLATFORM, rootfs: { type: 'layers', diff_ids: diffIds(layers) } }, random);
  const paths = layers.map((_, at) => `${String(at)}/layer.tar`);
  const manifest = [{ Config: `${sha256(config)}.json`, RepoTags: ['x:1'], Layers: paths }];
  const files = new Map<string, Buffer | { link: string }>([
    ...layers.map((bytes, at) => [paths[at]!, random.onceIn(4) ? gzipSync(bytes) : bytes] as const),
    [`${sha256(config)}.json`, config],
    ['manifest.json', document(manifest, random)],
  ]);
  if (random.onceIn(5))
    files.set(random.of(paths), { link: random.of(['../0/layer.tar', '../1/layer.tar', 'layer.tar']) });
  const bytes = tarOf(files);
  return random.onceIn(3) ? mutate(bytes, random, bytes) : bytes;
}

/** What is accepted makes a tree, and pages that a reader of images takes. */
function mustBeTree(tree: Tree): void {
  const [writer, validator] = [manifestWriter(), new TreeValidator()];
  let count = 0;
  for (const entry of tree.entries()) {
    validator.add(entry);
    writer.add(entry);
    count++;
  }
  const { page, index } = writer.finish();
  validator.finish(index.index);
  must(index.index.pages.length > 1 || decodePage(page.bytes).length === count, 'its page cannot be read');
}

/** OCI layouts. */
export const layoutTarget: Target = {
  name: 'OCI layout',
  prepare: directory =>
    Promise.resolve({
      attempt: async (random: Random) => {
        const location = join(directory, 'layout');
        rmSync(location, { recursive: true, force: true });
        const made = new Layout();
        made.all = () => layout(random);
        made.write(location);
        return accepts(CODES, async () => {
          const source = { kind: 'oci', location } as const;
          mustBeTree(await readImage(source, PLATFORM, new MemorySink(), treeOptions({ limits: LIMITS })));
        });
      },
    } satisfies Cases),
};

/** Docker archives. */
export const dockerTarget: Target = {
  name: 'Docker archive',
  prepare: directory =>
    Promise.resolve({
      attempt: async (random: Random) => {
        const location = join(directory, 'archive.tar');
        const bytes = archive(random);
        writeFileSync(location, random.onceIn(6) ? gzipSync(bytes) : bytes);
        return accepts(CODES, async () => {
          const source = { kind: 'docker-archive', location } as const;
          mustBeTree(await readImage(source, PLATFORM, new MemorySink(), treeOptions({ limits: LIMITS })));
        });
      },
    } satisfies Cases),
};
