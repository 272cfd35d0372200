import type { SqlitePages } from './sqlite-pages.js';
import { damaged } from './sqlite-pages.js';

/*
 * Tables of SQLite (sqlite.org/fileformat2.html). A table is a b-tree of pages, its root named by a row of the table whose
 * root is page 1:
 *
 *   page       u8 type (5: inner, 13: leaf), u16 first free block, u16 cells, u16 start of cells, u8 fragments,
 *              [inner: u32 last child], u16 where each cell is
 *   inner cell u32 child, varint key
 *   leaf cell  varint bytes of the record, varint rowid, as much of the record as is kept here, [u32 first overflow page]
 *   overflow   u32 next page (0: none), more of the record
 *   record     varint bytes of the header with this, varint* type of each column; the values
 *   type       0 NULL, 1-6 integers of 1, 2, 3, 4, 6 and 8 bytes, 7 float, 8 and 9 the integers 0 and 1,
 *              12 + 2n a blob of n bytes, 13 + 2n a text of n bytes
 *   varint     1 to 9 bytes: 7 bits each, the highest first, more to come if the top bit is set; all 8 of the ninth
 */

const INNER = 5;
const LEAF = 13;
/** A tree as deep as this has more leaves than there are pages. */
const MAX_DEPTH = 40;
const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

/** A column of a row: bytes of text or a blob, an integer, or nothing (NULL and floats, which are not wanted here). */
export type Column = Buffer | number | null;

/** The rows of the table that is called `name`, in the order of their ids; undefined if there is none. Throws `SOURCE_DAMAGED`. */
export function readSqliteTable(
  pages: SqlitePages,
  name: string,
): Generator<Column[], void, undefined> | undefined {
  pages.begin();
  for (const [type, called, , root] of rowsOf(pages, 1, 0)) {
    if (!isText(type, 'table') || !isText(called, name)) continue;
    if (typeof root !== 'number') throw damaged(`the table ${name} has no root`);
    pages.begin();
    return rowsOf(pages, root, 0);
  }
  return undefined;
}

function isText(column: Column | undefined, text: string): boolean {
  return Buffer.isBuffer(column) && column.equals(Buffer.from(text));
}

function* rowsOf(pages: SqlitePages, number: number, depth: number): Generator<Column[], void, undefined> {
  if (depth > MAX_DEPTH) throw damaged('its tree is too deep');
  const page = pages.page(number);
  const header = number === 1 ? 100 : 0;
  const type = page[header]!;
  if (type !== INNER && type !== LEAF)
    throw damaged(`page ${String(number)} is none of a table: type ${String(type)}`);
  const cells = page.readUInt16BE(header + 3);
  const pointers = header + (type === INNER ? 12 : 8);
  if (pointers + 2 * cells > page.length) throw damaged(`page ${String(number)} has too many cells`);
  // Cells that lie over each other would make more of a page than there is in it.
  let left = page.length;
  for (let cell = 0; cell < cells; cell++) {
    const at = page.readUInt16BE(pointers + 2 * cell);
    if (type === INNER) {
      yield* rowsOf(pages, uint32(page, at), depth + 1);
      continue;
    }
    const { record, local } = readCell(pages, page, at);
    if ((left -= local) < 0) throw damaged(`the cells of page ${String(number)} lie over each other`);
    yield readRecord(record);
  }
  if (type === INNER) yield* rowsOf(pages, page.readUInt32BE(header + 8), depth + 1);
}

/** The record of a cell, and how many bytes the cell has in its page. */
function readCell(pages: SqlitePages, page: Buffer, start: number): { record: Buffer; local: number } {
  const size = varint(page, start);
  const rowid = varint(page, size.end);
  const local = localBytes(size.value, pages.usable);
  const end = rowid.end + local;
  if (end > page.length) throw damaged('a cell reaches beyond its page');
  const first = page.subarray(rowid.end, end);
  if (local === size.value) return { record: first, local: end - start };
  const parts = [first];
  let left = size.value - local;
  for (let next = uint32(page, end); left > 0;) {
    // Before anything is allocated it is known to be there: a page is given out once.
    const more = pages.page(next);
    parts.push(more.subarray(4, 4 + left));
    left -= Math.min(left, more.length - 4);
    next = more.readUInt32BE(0);
  }
  return { record: Buffer.concat(parts), local: end + 4 - start };
}

/** How much of a record is kept in the page of its cell. */
function localBytes(size: number, usable: number): number {
  const most = usable - 35;
  if (size <= most) return size;
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const some = least + ((size - least) % (usable - 4));
  return some <= most ? some : least;
}

function readRecord(record: Buffer): Column[] {
  const header = varint(record, 0);
  if (header.value > record.length) throw damaged('a record is shorter than its header');
  const columns: Column[] = [];
  let value = header.value;
  for (let at = header.end; at < header.value;) {
    const type = varint(record, at);
    at = type.end;
    const bytes = type.value < 12 ? INTEGER_BYTES[type.value] : (type.value - 12) >>> 1;
    if (bytes === undefined || value + bytes > record.length)
      throw damaged('a column reaches beyond its record');
    columns.push(columnOf(type.value, record.subarray(value, value + bytes)));
    value += bytes;
  }
  return columns;
}

function columnOf(type: number, bytes: Buffer): Column {
  if (type >= 12) return bytes;
  if (type === 0 || type === 7) return null;
  if (type >= 8) return type - 8;
  return bytes.length === 8 ? Number(bytes.readBigInt64BE()) : bytes.readIntBE(0, bytes.length);
}

/** A number that is never larger than 2^31: nothing here is. */
function varint(bytes: Buffer, start: number): { value: number; end: number } {
  let value = 0;
  for (let at = start; at < start + 9; at++) {
    const byte = bytes[at];
    if (byte === undefined) throw damaged('a number reaches beyond its page');
    value = at === start + 8 ? value * 256 + byte : value * 128 + (byte & 0x7f);
    if (byte >= 0x80 && at < start + 8) continue;
    return { value, end: at + 1 };
  }
  throw damaged('a number has no end');
}

function uint32(bytes: Buffer, at: number): number {
  if (at + 4 > bytes.length) throw damaged('a cell reaches beyond its page');
  return bytes.readUInt32BE(at);
}
