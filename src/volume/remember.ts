import { PageFile, removeOldPageFiles } from './page-file.js';
import type { ImageReference, Place, VolumeRecord, VolumeState } from './volume-record.js';
import { syncDirectory } from '../store/durable.js';
import { checkOf, endWork } from './volume-record.js';

/** A page of the tree that is to be remembered: one that the record has already, or a new one. */
export type PageToRemember =
  { stored: number; length: number; table?: Buffer | undefined } | { page: Buffer; table: Buffer };

/** A tree as it is to be remembered. */
export interface TreeToRemember {
  indexBytes: Buffer;
  digest: Buffer;
  pages: readonly PageToRemember[];
}

/** What else is to be remembered of a clean volume. */
export interface VolumeFacts {
  image: ImageReference;
  layout: VolumeState['layout'];
  fingerprint: string;
  /** Of a disk: what lies beside its root partition. */
  disk?: VolumeState['disk'];
}

/** Pieces that are out of use may take as much as those in use, and this, before the file is made anew. */
const SLACK_BYTES = 4 << 20;

/**
 * Remembers durably what is on a volume that is clean, and ends the work that was begun on it. Pages that
 * are stored already are not written again.
 */
export async function rememberTree(
  record: VolumeRecord,
  tree: TreeToRemember,
  facts: VolumeFacts,
): Promise<void> {
  const before = record.state;
  const continues = before !== undefined && !isWasteful(before, tree);
  const pieces = new Pieces(continues ? before : { generation: (before?.generation ?? -1) + 1, end: 0 });
  const stored = before && (await PageFile.open(record.directory, before.generation));
  try {
    const pages: VolumeState['pages'] = [];
    for (const page of tree.pages) {
      if ('page' in page) {
        pages.push({ offset: pieces.add(page.page).offset, table: pieces.add(page.table) });
      } else {
        const place = before!.pages[page.stored]!;
        const kept = continues ? place : await copyPage(stored!, place, page.length, pieces);
        pages.push(page.table === undefined ? kept : { ...kept, table: pieces.add(page.table) });
      }
    }
    const index = pieces.add(tree.indexBytes);
    const { generation, end } = await pieces.write(record.directory);
    const state = { ...facts, treeDigest: tree.digest.toString('hex'), generation, end, index, pages };
    await endWork(record, state);
    await removeOldPageFiles(record.directory, generation);
  } finally {
    await stored?.close();
  }
}

function isWasteful(before: VolumeState, tree: TreeToRemember): boolean {
  const added = tree.pages.reduce(
    (sum, page) => sum + ('page' in page ? page.page.length + page.table.length : 0),
    0,
  );
  const kept = tree.pages.reduce((sum, page) => sum + ('stored' in page ? page.length : 0), 0);
  return before.end > added + 2 * kept + SLACK_BYTES;
}

async function copyPage(
  from: PageFile,
  place: VolumeState['pages'][number],
  length: number,
  pieces: Pieces,
): Promise<VolumeState['pages'][number]> {
  const page = await from.read(place.offset, length);
  const table = await from.read(place.table.offset, place.table.length);
  return { offset: pieces.add(page).offset, table: pieces.add(table) };
}

/** Pieces that are to be written to a page file, behind what is in it. */
class Pieces {
  readonly #generation: number;
  readonly #start: number;
  readonly #pieces: Buffer[] = [];
  #end: number;

  constructor(behind: { generation: number; end: number }) {
    this.#generation = behind.generation;
    this.#start = behind.end;
    this.#end = behind.end;
  }

  add(bytes: Buffer): Place {
    const place = { offset: this.#end, length: bytes.length, check: checkOf(bytes) };
    this.#pieces.push(bytes);
    this.#end += bytes.length;
    return place;
  }

  async write(directory: string): Promise<{ generation: number; end: number }> {
    const file = await PageFile.open(directory, this.#generation);
    try {
      await file.append(this.#start, this.#pieces);
    } finally {
      await file.close();
    }
    await syncDirectory(directory);
    return { generation: this.#generation, end: this.#end };
  }
}
