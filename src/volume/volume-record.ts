import { createHash } from 'node:crypto';
import { join } from 'node:path';
import * as v from 'valibot';
import { ImageUnpackerError } from '../image/error.js';
import { decodeIndex } from '../image/manifest.js';
import { seal, unseal } from '../image/sealed.js';
import { ManifestReader } from '../store/manifest-reader.js';
import { bootEntries } from './boot/options.js';
import type { KnownTree } from './known-tree.js';
import type { FilePart } from './page-file.js';
import { PageFile } from './page-file.js';
import { isDamagedState, readIfThere, removeDurably } from './state-directory.js';
import { replaceDurably } from '../store/durable.js';

/*
 * The record of one volume. `state` says what was on the volume when it was last left clean; `journal`, with
 * the next sequence number, says that work on it began which `state` does not know to have ended. Both are
 * sealed (image/sealed.ts): a byte that is not as it was written makes them unreadable, and the volume is
 * then one of which nothing is known.
 */

/** Names of files are nobody else's to know. */
const PRIVATE = 0o600;

const hex = v.pipe(v.string(), v.regex(/^[0-9a-f]+$/));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const imageSchema = v.strictObject({ name: v.string(), digest: hex });
const placeSchema = v.strictObject({ offset: count, length: count, check: hex });

const stateSchema = v.strictObject({
  sequence: count,
  image: imageSchema,
  layout: v.picklist(['whole', 'disk']),
  fingerprint: hex,
  /** Of a disk: where something lies beside its root partition, the SHA-256 of all of that, and how it was made to boot. */
  disk: v.optional(
    v.strictObject({
      extents: v.array(v.strictObject({ offset: count, length: count })),
      digest: hex,
      boot: v.strictObject(bootEntries),
    }),
  ),
  /** Of the tree on the volume: the image's, with what the layout added. */
  treeDigest: hex,
  /** Which page file, and how much of it is in use. */
  generation: count,
  end: count,
  index: placeSchema,
  pages: v.array(v.strictObject({ offset: count, table: placeSchema })),
});

const journalSchema = v.strictObject({
  sequence: count,
  from: v.nullable(imageSchema),
  to: imageSchema,
  /** Every path that the work touches, one byte a character. */
  paths: v.array(v.string()),
});

/** What was on a volume when it was left clean. */
export type VolumeState = v.InferOutput<typeof stateSchema>;
/** What was begun on a volume. */
export type VolumeJournal = v.InferOutput<typeof journalSchema>;
/** An image by name and digest in hex. */
export type ImageReference = v.InferOutput<typeof imageSchema>;
/** Where a piece of a page file is; `check` is the SHA-256 of what has no digest of its own. */
export type Place = v.InferOutput<typeof placeSchema>;

/** One volume's record, opened. */
export interface VolumeRecord {
  directory: string;
  state: VolumeState | undefined;
  /** There is one only while the volume is not known to be clean. */
  journal: VolumeJournal | undefined;
}

/** Reads a record. What is damaged of it is as if it were not there: nothing is known then. */
export async function readRecord(directory: string): Promise<VolumeRecord> {
  const state = await readSealed(join(directory, 'state'), stateSchema);
  const journal = await readSealed(join(directory, 'journal'), journalSchema);
  if (journal === 'damaged' || state === 'damaged')
    return { directory, state: undefined, journal: undefined };
  // A journal entry that the state has overtaken only had no time to go.
  const open = journal !== undefined && journal.sequence > (state?.sequence ?? -1) ? journal : undefined;
  return { directory, state, journal: open };
}

async function readSealed<S extends v.GenericSchema>(
  path: string,
  schema: S,
): Promise<v.InferOutput<S> | 'damaged' | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return v.parse(schema, unseal(text, path, 'STATE_DAMAGED'));
  } catch (reason) {
    if (reason instanceof v.ValiError || isDamagedState(reason)) return 'damaged';
    throw reason;
  }
}

/**
 * Says durably what is about to be done, before the first write to the volume. What interrupted work touched
 * before stays doubtful, although it was read: until the volume is clean again, the state does not know of it.
 */
export async function beginWork(record: VolumeRecord, work: Omit<VolumeJournal, 'sequence'>): Promise<void> {
  const paths = [...new Set([...(record.journal?.paths ?? []), ...work.paths])];
  const journal = { sequence: nextSequence(record), ...work, paths };
  await replaceDurably(join(record.directory, 'journal'), seal(journal), PRIVATE);
  record.journal = journal;
}

/** Says durably that the volume is clean, and what is on it; whatever was begun is thereby ended. */
export async function endWork(record: VolumeRecord, state: Omit<VolumeState, 'sequence'>): Promise<void> {
  const sequence = record.journal?.sequence ?? nextSequence(record);
  record.state = { sequence, ...state };
  await replaceDurably(join(record.directory, 'state'), seal(record.state), PRIVATE);
  if (record.journal !== undefined) await removeDurably(join(record.directory, 'journal'));
  record.journal = undefined;
}

/** Says durably that nothing is known any more of what is on the volume. */
export async function forgetState(record: VolumeRecord): Promise<void> {
  // A journal that the state has overtaken would be taken for an open one.
  for (const file of ['journal', 'state']) await removeDurably(join(record.directory, file));
  record.state = undefined;
}

function nextSequence(record: VolumeRecord): number {
  return Math.max(record.state?.sequence ?? 0, record.journal?.sequence ?? 0) + 1;
}

/**
 * The tree that a record's state tells of, its pages read when they are needed. Throws `STATE_DAMAGED` as soon
 * as a piece of it is not as it was written.
 */
export async function openKnownTree(record: VolumeRecord, state: VolumeState): Promise<OpenKnownTree> {
  const file = await PageFile.open(record.directory, state.generation);
  const checked = async ({ offset, length, check }: Place): Promise<Buffer> => {
    const bytes = await file.read(offset, length);
    if (checkOf(bytes) === check) return bytes;
    throw file.damagedAt(offset);
  };
  try {
    const indexBytes = await checked(state.index);
    const index = decodeIndex(indexBytes);
    if (index.pages.length !== state.pages.length) {
      throw new ImageUnpackerError('STATE_DAMAGED', `The state in ${record.directory} is damaged`);
    }
    const partOf = (number: number): FilePart => ({
      ...index.pages[number]!,
      offset: state.pages[number]!.offset,
    });
    return {
      manifest: new ManifestReader(index, { pages: numbers => file.readParts(numbers.map(partOf)) }),
      digest: Buffer.from(state.treeDigest, 'hex'),
      indexBytes,
      table: number => checked(state.pages[number]!.table),
      close: () => file.close(),
    };
  } catch (reason) {
    await file.close();
    throw reason;
  }
}

/** A known tree that holds a file open. */
export interface OpenKnownTree extends KnownTree {
  close(): Promise<void>;
}

/** What shows that a piece of a page file is as it was written. */
export function checkOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
