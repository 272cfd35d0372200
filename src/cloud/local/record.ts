import * as v from 'valibot';
import { ImageUnpackerError } from '../../image/error.js';
import { seal, unseal } from '../../image/sealed.js';
import { isImageId } from './layout.js';

/*
 * The record of a disk, as a sealed record (image/sealed.ts).
 *
 *   id           as layout.ts has it
 *   state        writing    the disk is being written, under its partial name
 *                disk       it is whole and durable under its own name, and of no image
 *                image      it is an image: its tags are seen
 *                removing   its files are being removed
 *   diskFormat   raw or qcow2
 *   createdAt    RFC 3339, in UTC with milliseconds
 *   diskSize     bytes
 *   diskDigest   hex
 *   parentId     of the disk that it was made from, or null
 *   modified     when the disk's file was last written to, ns since 1970, or null while it is not whole
 *   tags         object: strings by key
 *   boot         object: architecture, bootMode and rootDevice; left out when the disk does not boot
 */

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const SHA256 = /^[0-9a-f]{64}$/;

const id = v.pipe(v.string(), v.check(isImageId, 'is no id'));
const natural = v.pipe(
  v.union([v.pipe(v.number(), v.safeInteger()), v.bigint()]),
  v.transform(count => BigInt(count)),
  v.minValue(0n),
);

const schema = v.strictObject({
  id,
  state: v.picklist(['writing', 'disk', 'image', 'removing']),
  diskFormat: v.picklist(['raw', 'qcow2']),
  createdAt: v.pipe(v.string(), v.regex(TIME)),
  diskSize: natural,
  diskDigest: v.pipe(v.string(), v.regex(SHA256)),
  parentId: v.nullable(id),
  modified: v.nullable(natural),
  tags: v.record(v.string(), v.string()),
  boot: v.optional(
    v.strictObject({ architecture: v.string(), bootMode: v.string(), rootDevice: v.string() }),
  ),
});

/** What is kept of a disk and its image. */
export type DiskRecord = Readonly<v.InferOutput<typeof schema>>;

/** A record as it is kept. */
export function encodeRecord(record: DiskRecord): string {
  return seal(record);
}

/** The record in `text`, which was read from `path`. Throws `STATE_DAMAGED`, naming the file. */
export function decodeRecord(text: Buffer, path: string): DiskRecord {
  const result = v.safeParse(schema, unseal(text, path, 'STATE_DAMAGED'), { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new ImageUnpackerError(
    'STATE_DAMAGED',
    `${path} is damaged: ${v.getDotPath(issue) ?? 'it'}: ${issue.message}`,
    { path },
  );
}
