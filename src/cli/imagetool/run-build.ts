import type { KeyObject } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { ImageUnpackerError } from '../../image/error.js';
import type { PathFilter } from '../../image/filter.js';
import { parseFilter } from '../../image/filter.js';
import { parseImageName, parseImageOrChannel } from '../../image/name.js';
import { parsePlatform } from '../../source/oci/platform.js';
import { readSource } from '../../source/read-source.js';
import type { ObjectSink } from '../../source/sink.js';
import type { Tree } from '../../source/tree.js';
import type { EarlierImage } from '../../store/build.js';
import { buildImage } from '../../store/build.js';
import { isDamage } from '../../store/damage.js';
import { findImage } from '../../store/find-image.js';
import { isWithin } from '../../store/local/is-within.js';
import { ManifestReader } from '../../store/manifest-reader.js';
import { isServerLocation } from '../../rpc/connect-store.js';
import { isStoreUrl, storeExists } from '../../store/open.js';
import { withPackages } from '../../store/packages/collect-packages.js';
import { PackageFiles } from '../../store/packages/find-databases.js';
import { readSigningKey } from '../../store/read-keys.js';
import { checkAnnotationKeys, checkTags } from '../../store/record.js';
import { withSignature } from '../../store/signature.js';
import type { ImageRecord, Store } from '../../store/store.js';
import type { Context } from '../command.js';
import { cacheOf, locationOf, openStore } from '../open-store.js';
import type { buildArguments, buildOptions, BuiltImage } from './build.js';

type BuildContext = Context<typeof buildOptions, typeof buildArguments>;

/** A store that is opened, and made, only when there is something to put into it. */
type OpenStore = () => Promise<Store>;

/** Builds an image. Whatever is wrong with the call is found before anything is written. */
export async function runBuild(context: BuildContext): Promise<BuiltImage> {
  const began = performance.now();
  const { options, args, signal } = context;
  const location = locationOf(options);
  parseImageName(args.name);
  checkTags(options.tags);
  const key = options.sign === undefined ? undefined : await readSigningKey(options.sign);
  if (options.platform !== undefined) parsePlatform(options.platform);
  await checkAnnotations(options.annotations);
  const filter = options.filter === undefined ? undefined : await readFilter(options.filter);
  if (!isStoreUrl(location)) await refuseStoreInSource(location, options.from);
  let opened: Promise<Store> | undefined;
  const open: OpenStore = () => (opened ??= openStore(options, signal, true));
  try {
    const isThere =
      isServerLocation(location) || (await storeExists(location, { signal, cache: cacheOf(options) }));
    const existing = isThere ? open : undefined;
    await (await existing?.())?.checkIsNew(args.name);
    const earlier = await findEarlier(context, existing);
    await tellOfBase(context, existing, earlier);
    const tree = await readContent(context, open, existing, filter);
    const built = await build(context, await open(), tree, earlier, key);
    return { ...built, seconds: Math.round(performance.now() - began) / 1000 };
  } finally {
    await (await opened?.catch(() => undefined))?.close();
  }
}

/** Reads the source into the store, but for what is known of it in a store that was there before. */
async function readContent(
  { options, signal, log, progress }: BuildContext,
  open: OpenStore,
  existing: OpenStore | undefined,
  filter: PathFilter | undefined,
): Promise<Tree> {
  const sink: ObjectSink = {
    putStream: async chunks => (await open()).putStream(chunks),
    ingest: async (root, files, watch) => (await open()).ingest(root, files, watch),
  };
  const recall = async (source: string): Promise<Buffer | undefined> =>
    orWarn(log, async () => (await existing?.())?.recall?.(source));
  return readSource(options.from, sink, {
    filter,
    progress,
    signal,
    limits: options.limits,
    warn: message => log.warn(message),
    standardInput: process.stdin,
    recall: options.verify === 'auto' ? recall : undefined,
    now: Date.now,
    platform: options.platform === undefined ? undefined : parsePlatform(options.platform),
  });
}

async function build(
  { options, args, signal, log, progress }: BuildContext,
  store: Store,
  tree: Tree,
  earlier: EarlierImage | undefined,
  key: KeyObject | undefined,
): Promise<Omit<BuiltImage, 'seconds'>> {
  const annotations: Record<string, string> = {};
  for (const [key, file] of options.annotations) {
    annotations[key] = (await store.putStream(createReadStream(file))).digest.toString('hex');
  }
  const createdAt = new Date();
  const lifetime = options.expiresIn === undefined ? undefined : options.expiresIn * 1000;
  const expiresAt = lifetime === undefined ? null : new Date(createdAt.getTime() + lifetime);
  const tags = Object.fromEntries(options.tags);
  const { reuseName } = options;
  const files = new PackageFiles();
  const watched = { entries: () => files.watch(tree.entries()) };
  const complete = async (record: ImageRecord): Promise<ImageRecord> => {
    const listed = await withPackages(record, files, store, message => log.warn(message));
    return key === undefined ? listed : withSignature(listed, key);
  };
  const facts = { name: args.name, earlier, createdAt, expiresAt, tags, annotations, reuseName, complete };
  const { name, digest, entries, bytes } = await buildImage(store, watched, { ...facts, progress, signal });
  // Only now: what is known refers to objects that are durable.
  await orWarn(log, async () => tree.knowledge && store.remember?.(tree.knowledge()));
  const { newObjects, newBytes, skippedFiles, skippedBytes } = tree;
  return { name, digest, entries, bytes, newObjects, newBytes, skippedFiles, skippedBytes };
}

/** Does what only spares the reading of files: without it the image is the same. */
async function orWarn<T>(log: BuildContext['log'], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (reason) {
    log.warn(
      `${ImageUnpackerError.from(reason, 'Knowledge of the source is lost').message}; files are read again`,
    );
    return undefined;
  }
}

/**
 * The image whose times are kept; in a store that is not there yet, there is none. One that was not asked for by name and
 * is damaged is done without, which is said.
 */
async function findEarlier(
  { options: { mtimesFrom, store: location = '' }, args, log }: BuildContext,
  open: OpenStore | undefined,
): Promise<EarlierImage | undefined> {
  if (mtimesFrom === 'none') return undefined;
  if (mtimesFrom !== undefined) parseImageOrChannel(mtimesFrom);
  const store = await open?.();
  if (mtimesFrom !== undefined && store === undefined) {
    const message = `There is no image ${mtimesFrom} to take times from: there is no store at ${location}`;
    throw new ImageUnpackerError('IMAGE_UNKNOWN', message, { image: mtimesFrom });
  }
  if (store === undefined) return undefined;
  const { stream } = parseImageName(args.name);
  let image = mtimesFrom === undefined ? `The newest image of ${stream}` : `The image ${mtimesFrom}`;
  const onDamage = (reason: ImageUnpackerError): void => {
    const what = `${image}, whose times unchanged content would keep, is damaged: ${reason.message}`;
    if (mtimesFrom === undefined) log.warn(`${what}; the times of the source are taken`);
    else
      throw new ImageUnpackerError(reason.code, `${what}; or say --mtimes-from none`, reason.subject, reason);
  };
  try {
    const record =
      mtimesFrom === undefined ? (await store.list(stream)).at(-1) : await findImage(store, mtimesFrom);
    if (record === undefined) return undefined;
    image = `The image ${record.name}`;
    return { manifest: await ManifestReader.open(store, Buffer.from(record.digest, 'hex')), onDamage };
  } catch (reason) {
    if (!isDamage(reason)) throw reason;
    onDamage(reason);
    return undefined;
  }
}

/** Tells a store that is elsewhere what most of the source is likely to be. */
async function tellOfBase(
  { args }: BuildContext,
  open: OpenStore | undefined,
  earlier: EarlierImage | undefined,
): Promise<void> {
  const store = await open?.();
  if (store?.basedOn === undefined) return;
  const newest = earlier ?? (await newestOf(store, parseImageName(args.name).stream));
  if (newest !== undefined) store.basedOn(newest.manifest);
}

/** The newest image of a stream; undefined where there is none, or it is damaged. */
async function newestOf(store: Store, stream: string): Promise<{ manifest: ManifestReader } | undefined> {
  try {
    const record = (await store.list(stream)).at(-1);
    if (record === undefined) return undefined;
    return { manifest: await ManifestReader.open(store, Buffer.from(record.digest, 'hex')) };
  } catch (reason) {
    if (isDamage(reason)) return undefined;
    throw reason;
  }
}

async function readFilter(file: string): Promise<PathFilter> {
  return parseFilter(await inOption('--filter', file, () => readFile(file)), file);
}

async function checkAnnotations(annotations: ReadonlyMap<string, string>): Promise<void> {
  checkAnnotationKeys([...annotations.keys()]);
  for (const file of annotations.values()) {
    const found = await inOption('--annotation', file, async () => {
      await access(file, constants.R_OK);
      return stat(file);
    });
    if (found.isFile()) continue;
    throw new ImageUnpackerError('USAGE', `Option '--annotation': ${file} is not a file`, { path: file });
  }
}

async function inOption<T>(option: string, file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    throw new ImageUnpackerError(
      'USAGE',
      `Option '${option}': cannot read ${file}: ${why}`,
      { path: file },
      reason,
    );
  }
}

/** A store that grows in the tree that is being read would become part of the image. */
async function refuseStoreInSource(location: string, source: string): Promise<void> {
  const found = await stat(source).catch(() => undefined);
  if (found?.isDirectory() !== true || !(await isWithin(location, source))) return;
  const message = `The store ${location} lies in the source ${source}; put it elsewhere`;
  throw new ImageUnpackerError('USAGE', message, { path: location });
}
