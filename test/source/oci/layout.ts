import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { END, header, pax, withData } from '../tar/archive.js';

/*
 * Container images made by hand.
 */

export type Compression = 'none' | 'gzip' | 'zstd';
const TYPES: Record<Compression, string> = { none: '', gzip: '+gzip', zstd: '+zstd' };

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function compress(bytes: Buffer, how: Compression): Buffer {
  if (how === 'none') return bytes;
  return how === 'gzip' ? gzipSync(bytes) : execFileSync('zstd', ['-qc'], { input: bytes });
}

/** One entry of a layer, in short. */
export interface Piece {
  path: string;
  type?: 'file' | 'directory' | 'symlink' | 'link';
  data?: string;
  target?: string;
  mode?: string;
  mtime?: string;
  xattrs?: Record<string, string>;
}

/** A layer that is not compressed. */
export function layerOf(pieces: readonly Piece[]): Buffer {
  return Buffer.concat([...pieces.map(bytesOf), END]);
}

const FLAGS = { file: '0', directory: '5', symlink: '2', link: '1' };

function bytesOf({ path, type = 'file', data = '', target = '', mode, mtime, xattrs }: Piece): Buffer {
  const fields = {
    name: path,
    type: FLAGS[type],
    link: target,
    mode: mode ?? (type === 'directory' ? '0000755\0' : '0000644\0'),
    ...(mtime !== undefined && { mtime }),
  };
  const own = type === 'file' ? withData(fields, data) : header(fields);
  const records = Object.entries(xattrs ?? {}).map(
    ([name, value]) => [`SCHILY.xattr.${name}`, value] as const,
  );
  return records.length === 0 ? own : Buffer.concat([pax(records), own]);
}

export interface ImageOptions {
  compressions?: readonly Compression[];
  tag?: string;
  platform?: { os: string; architecture: string; variant?: string };
  /** Whether the index tells the platform too. */
  isTold?: boolean;
}

/** A layout as files by their paths. */
export class Layout {
  readonly files = new Map<string, Buffer>();
  readonly manifests: object[] = [];

  blob(bytes: Buffer): { digest: string; size: number } {
    const hex = sha256(bytes);
    this.files.set(`blobs/sha256/${hex}`, bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  }

  /** Adds an image; its descriptor. */
  image(layers: readonly Buffer[], options: ImageOptions = {}): object {
    const platform = options.platform ?? { os: 'linux', architecture: 'amd64' };
    const config = {
      ...platform,
      rootfs: { type: 'layers', diff_ids: layers.map(layer => `sha256:${sha256(layer)}`) },
      config: {},
      history: [],
    };
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...this.blob(json(config)) },
      layers: layers.map((layer, at) => {
        const how = options.compressions?.[at] ?? 'none';
        return {
          mediaType: `application/vnd.oci.image.layer.v1.tar${TYPES[how]}`,
          ...this.blob(compress(layer, how)),
        };
      }),
    };
    const descriptor = {
      mediaType: manifest.mediaType,
      ...this.blob(json(manifest)),
      ...(options.isTold === true && { platform }),
      ...(options.tag !== undefined && { annotations: { 'org.opencontainers.image.ref.name': options.tag } }),
    };
    this.manifests.push(descriptor);
    return descriptor;
  }

  /** Puts what was added so far into an index of its own, which is added instead. */
  nest(tag?: string): void {
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    const index = this.blob(json({ schemaVersion: 2, mediaType, manifests: this.manifests.splice(0) }));
    const annotations = tag === undefined ? {} : { 'org.opencontainers.image.ref.name': tag };
    this.manifests.push({ mediaType, ...index, annotations });
  }

  all(): Map<string, Buffer> {
    return new Map([
      ...this.files,
      ['oci-layout', json({ imageLayoutVersion: '1.0.0' })],
      ['index.json', json({ schemaVersion: 2, manifests: this.manifests })],
    ]);
  }

  write(directory: string): string {
    for (const [path, bytes] of this.all()) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), bytes);
    }
    return directory;
  }
}

export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** Files as a tar file. */
export function tarOf(files: Iterable<readonly [string, Buffer | { link: string }]>): Buffer {
  const members = [...files].map(([path, what]) =>
    Buffer.isBuffer(what)
      ? withData({ name: path }, what)
      : header({ name: path, type: '2', link: what.link }),
  );
  return Buffer.concat([...members, END]);
}
