import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import * as v from 'valibot';
import { follow } from '../../../src/cli/ami-publisher/follow.js';
import { STAGES } from '../../../src/publisher/event.js';
import { localTarget } from '../../../src/publisher/target.js';
import { ERROR_CODES } from '../../../src/image/error.js';
import { addInstance } from '../../simulator/fleet.js';
import { Shop } from '../../publisher/shop.js';
import { bed, publish } from '../../publisher/fleet/bed.js';
import { temporaryDirectory } from '../../temporary-directory.js';

/* That every line of `--events` is as docs/publishing.md says: these keys, all of them and no other. */

const DOCS = readFileSync(new URL('../../../docs/publishing.md', import.meta.url), 'utf8');
const text = v.pipe(v.string(), v.minLength(1));
const count = v.pipe(v.number(), v.minValue(0));
const hex = (digits: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${String(digits)}}$`)));

/** What the keys of events hold. */
const VALUES = {
  run: v.pipe(v.string(), v.regex(/^\d{8}T\d{6}Z-[0-9a-f]{6}$/)),
  image: text,
  targets: v.array(text),
  target: v.nullable(text),
  stage: v.picklist(STAGES),
  what: v.string(),
  done: count,
  total: v.nullable(count),
  unit: v.nullable(v.picklist(['bytes', 'entries'])),
  seconds: count,
  error: v.nullable(text),
  message: text,
};

/** What the keys of rows hold. */
const ROW = {
  Target: text,
  AccountName: text,
  AccountId: v.optional(text),
  Region: text,
  ImageName: text,
  ImageDigest: hex(128),
  Strategy: v.picklist(['local', 'direct', 'snapshot']),
  AmiId: v.optional(text),
  SnapshotId: v.optional(text),
  Path: v.optional(text),
  DiskDigest: v.optional(hex(64)),
  DiskSize: v.optional(count),
  Size: v.optional(count),
  Architecture: v.optional(text),
  BootMode: v.optional(text),
  RootDeviceName: v.optional(text),
  AlreadyPublished: v.boolean(),
  BlocksSent: count,
  BlocksWritten: v.optional(count),
  ParentSnapshotId: v.optional(text),
  Stages: v.record(v.picklist(STAGES), count),
  Run: v.optional(VALUES.run),
  ExpiresAt: v.optional(text),
  Error: v.optional(text),
  ErrorCode: v.optional(v.picklist(ERROR_CODES)),
};

/** The words in backquotes of a cell. */
function words(cell: string): string[] {
  return [...cell.matchAll(/`(\w+)`/g)].map(([, word]) => word!);
}

/** The rows of the table of a chapter, as cells. */
function tableOf(chapter: string): string[][] {
  const [, from = ''] = DOCS.split(`\n## ${chapter}\n`);
  return (
    from
      .split('\n## ')[0]!
      .split('\n')
      .filter(line => line.startsWith('|'))
      .map(line => line.split('|').slice(1, -1))
      // The head, and the line below it.
      .slice(2)
  );
}

/** The types of events with the keys that are documented. */
const TYPES = new Map(
  tableOf('Watching').map(([type = '', , keys = '']) => [words(type)[0]!, words(keys)] as const),
);

const row = v.strictObject(ROW);

function schemaOf(type: string) {
  const values = VALUES as Record<string, v.GenericSchema>;
  const keys = TYPES.get(type)!.map(key => [key, key === 'row' ? row : values[key]!] as const);
  const head = { time: v.pipe(v.string(), v.isoTimestamp()), type: v.literal(type) };
  return v.strictObject({ ...head, ...Object.fromEntries(keys) });
}

/** Checks all lines of a file of events; returns the types that are among them. */
function checkLines(file: string): Set<string> {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return new Set(
    lines.map(line => {
      const { type } = JSON.parse(line) as { type: string };
      if (!TYPES.has(type)) throw new Error(`not documented: ${line}`);
      const { success, issues = [] } = v.safeParse(schemaOf(type), JSON.parse(line));
      const faults = issues.map(each => `${v.getDotPath(each as never) ?? ''}: ${each.message}`);
      if (!success) throw new Error(`${faults.join('; ')}: ${line}`);
      return type;
    }),
  );
}

test('the keys of rows are documented', t => {
  const documented = tableOf('Results').flatMap(([keys = '']) => words(keys));
  t.deepEqual(documented.sort(), Object.keys(ROW).sort());
});

test('every event of a publication to directories is as documented', async t => {
  const shop = await Shop.open(temporaryDirectory(t));
  t.teardown(() => shop.store.close());
  const file = shop.path('events');
  writeFileSync(shop.path('none'), '');
  const targets = [localTarget(shop.path('a'), 'raw'), localTarget(shop.path('none'), 'raw')];
  const follower = follow(undefined, file, () => t.fail());
  const told: string[] = [];
  const onEvent: typeof follower.onEvent = event => {
    told.push(event.type);
    follower.onEvent(event);
  };
  await shop.publish(1, { targets, onEvent, expiresIn: 3600 });
  const registry = join(shop.path('a'), 'registry');
  for (const name of readdirSync(registry).filter(each => each.endsWith('.map')))
    writeFileSync(join(registry, name), 'damaged');
  // The stages go on until progress has been told of.
  shop.unpacker.beforeBlock = async () => {
    while (!told.includes('progress')) await new Promise(resolve => setTimeout(resolve, 20));
  };
  await shop.publish(2, { targets, onEvent });
  follower.end();
  t.deepEqual([...checkLines(file)].sort(), [...TYPES.keys()].sort());
});

test.serial('every event of a publication by unpackers is as documented', async t => {
  const it = await bed(t, ['us-east-1', 'eu-west-1']);
  addInstance(it.world, it.places[0]!, { address: '10.0.0.1' });
  const file = it.shop.path('events');
  const follower = follow(undefined, file, () => t.fail());
  const rows = await publish(it, 1);
  t.deepEqual(
    rows.map(({ Error }) => Error === undefined),
    [true, false],
  );
  for (const event of it.shop.events) follower.onEvent(event);
  follower.end();
  const types = checkLines(file);
  for (const type of ['run', 'begin', 'end', 'result']) t.true(types.has(type), type);
});
