/*
 * Databases of SQLite made byte by byte, of one page for each table (src/image/sqlite-table.ts has the grammar).
 */

const PAGE_BYTES = 4096;
const LEAF = 13;

/** A database with one table of two columns, a number that is the row's id and a blob. A blob may have pages of its own. */
export function sqliteDatabase(table: string, blobs: readonly Buffer[]): Buffer {
  const sql = `CREATE TABLE '${table}' (number INTEGER PRIMARY KEY, blob BLOB NOT NULL)`;
  const schema = record(
    ['table', table, table, 2, sql].map(each => (typeof each === 'number' ? each : Buffer.from(each))),
  );
  const first = leafPage([Buffer.concat([varint(schema.length), varint(1), schema])], 100);
  first.write('SQLite format 3\0', 0, 'latin1');
  first.writeUInt16BE(PAGE_BYTES, 16);
  first.set([1, 1, 0, 64, 32, 32], 18);
  first.writeUInt32BE(4, 44);
  first.writeUInt32BE(1, 56);
  const overflow: Buffer[] = [];
  const cells = blobs.map((blob, at) => cell(record([null, blob], true), at + 1, overflow));
  const pages = [first, leafPage(cells, 0), ...overflow];
  first.writeUInt32BE(pages.length, 28);
  return Buffer.concat(pages);
}

function cell(bytes: Buffer, id: number, overflow: Buffer[]): Buffer {
  const most = PAGE_BYTES - 35;
  const head = Buffer.concat([varint(bytes.length), varint(id)]);
  if (bytes.length <= most) return Buffer.concat([head, bytes]);
  const least = Math.floor(((PAGE_BYTES - 12) * 32) / 255) - 23;
  const some = least + ((bytes.length - least) % (PAGE_BYTES - 4));
  const local = some <= most ? some : least;
  const next = Buffer.alloc(4);
  next.writeUInt32BE(overflow.length + 3);
  for (let at = local; at < bytes.length; at += PAGE_BYTES - 4) {
    const page = Buffer.alloc(PAGE_BYTES);
    if (at + PAGE_BYTES - 4 < bytes.length) page.writeUInt32BE(overflow.length + 4);
    bytes.copy(page, 4, at, at + PAGE_BYTES - 4);
    overflow.push(page);
  }
  return Buffer.concat([head, bytes.subarray(0, local), next]);
}

function leafPage(cells: readonly Buffer[], start: number): Buffer {
  const page = Buffer.alloc(PAGE_BYTES);
  let end = PAGE_BYTES;
  for (const [at, bytes] of cells.entries()) {
    end -= bytes.length;
    bytes.copy(page, end);
    page.writeUInt16BE(end, start + 8 + 2 * at);
  }
  page[start] = LEAF;
  page.writeUInt16BE(cells.length, start + 3);
  page.writeUInt16BE(end, start + 5);
  return page;
}

function record(columns: readonly (Buffer | number | null)[], isBlob = false): Buffer {
  const types = columns.map(each =>
    each === null
      ? varint(0)
      : typeof each === 'number'
        ? varint(1)
        : varint(each.length * 2 + (isBlob ? 12 : 13)),
  );
  const values = columns.map(each =>
    each === null ? Buffer.alloc(0) : typeof each === 'number' ? Buffer.from([each]) : each,
  );
  const header = Buffer.concat(types);
  return Buffer.concat([varint(header.length + 1), header, ...values]);
}

function varint(value: number): Buffer {
  const bytes = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return Buffer.from(bytes);
}

/** A header of rpm of texts and numbers by their tags (src/image/rpm-database.ts). */
export function rpmHeader(values: ReadonlyMap<number, string | number>): Buffer {
  const [entries, data]: [Buffer[], Buffer[]] = [[], []];
  let at = 0;
  for (const [tag, value] of values) {
    const entry = Buffer.alloc(16);
    const bytes = typeof value === 'string' ? Buffer.from(`${value}\0`) : Buffer.alloc(4);
    if (typeof value === 'number') bytes.writeUInt32BE(value);
    for (const [index, field] of [tag, typeof value === 'string' ? 6 : 4, at, 1].entries())
      entry.writeUInt32BE(field, index * 4);
    entries.push(entry);
    data.push(bytes);
    at += bytes.length;
  }
  const head = Buffer.alloc(8);
  head.writeUInt32BE(entries.length);
  head.writeUInt32BE(at, 4);
  return Buffer.concat([head, ...entries, ...data]);
}
