import type { Watch } from '../native.js';
import type { FileData } from '../store/derivable.js';
import type {
  ChannelRecord,
  NamedRecord,
  ObjectAnswer,
  OpenObject,
  RecordChanges,
  ServerConnection,
} from '../store/remote/connection.js';
import type { ChangePosition, SmallObject } from '../store/store.js';
import type { Address } from './address.js';
import { IMAGE_SERVER_PORT, parseAddress, showAddress } from './address.js';
import type { Ask } from './caller.js';
import { Caller, secure, within } from './caller.js';
import type { Certificates } from './certificates.js';
import { readCertificates } from './certificates.js';
import { CHANNEL_OPTIONS } from './channel-options.js';
import type * as Wire from './gen/image_unpacker/v1/image_server.js';
import { ImageServerServiceClient } from './gen/image_unpacker/v1/image_server.js';
import { ServerContent } from './image-server-content.js';
import { ServerHttp } from './image-server-http.js';
import { malformed, MAX_SERVER_MESSAGE_BYTES, partsOf } from './image-server-messages.js';
import type { Wanted } from './probe.js';
import { probe } from './probe.js';

export const IMAGE_SERVER: Wanted = {
  what: 'image server',
  start: 'imageserver serve --store DIR',
  option: '--server',
};

/** Making an image takes a walk through all of it. */
const CREATE_SECONDS = 600;
/** Hashing all of a large image on a slow disk. */
const CHECK_SECONDS = 6 * 3600;
const LIST_SECONDS = 300;
const STATES = ['good', 'missing', 'damaged'] as const;

/**
 * Connects to the image server at `unix:PATH` or `HOST:PORT`, whose store is called `location`. Throws `USAGE` for what is no
 * address, `TIMEOUT` when no server is there, `CONFIGURATION` for certificates that are not good at either end.
 */
export async function connectImageServer(
  address: string,
  location: string,
  { certs, signal, patience = 0 }: { certs: string; signal?: AbortSignal | undefined; patience?: number },
): Promise<ImageServerClient> {
  const where = parseAddress(address, IMAGE_SERVER_PORT);
  const certificates = where.kind === 'tcp' ? await readCertificates(certs) : undefined;
  await probe(where, IMAGE_SERVER, { certificates, patience, signal });
  return new ImageServerClient(where, certificates, location, signal);
}

/** An image server elsewhere. */
export class ImageServerClient implements ServerConnection {
  readonly location: string;
  readonly #caller: Caller;
  readonly #client: ImageServerServiceClient;
  readonly #content: ServerContent;
  readonly #signal: AbortSignal | undefined;

  constructor(
    address: Address,
    certificates: Certificates | undefined,
    location: string,
    signal: AbortSignal | undefined,
  ) {
    this.location = location;
    this.#signal = signal;
    this.#caller = new Caller(address, certificates, IMAGE_SERVER);
    const { secrets, options } = secure(address, certificates);
    this.#client = new ImageServerServiceClient(showAddress(address), secrets, {
      ...CHANNEL_OPTIONS,
      'grpc.max_receive_message_length': MAX_SERVER_MESSAGE_BYTES,
      ...options,
    });
    this.#content = new ServerContent(new ServerHttp(address, certificates, signal), signal);
  }

  /** How it stands with the server. */
  async status(): Promise<Wire.GetServerResponse> {
    return this.#ask<Wire.GetServerResponse>('Asking for the status', (...how) =>
      this.#client.getServer({}, ...how),
    );
  }

  async revision(): Promise<string> {
    const ask: Ask<Wire.GetRevisionResponse> = (...how) => this.#client.getRevision({}, ...how);
    return (await this.#ask('Asking whether something has changed', ask)).revision;
  }

  async *watchRevision(signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    // It has no deadline: that a server or its machine has gone is noticed by the keep-alives of the channel.
    const call = this.#client.watchRevision({});
    const stop = (): void => {
      call.cancel();
    };
    signal.addEventListener('abort', stop, { once: true });
    try {
      for await (const { revision } of call as AsyncIterable<Wire.WatchRevisionResponse>) yield revision;
    } catch (reason) {
      throw await this.#caller.explain(reason, 'Watching for changes', signal);
    } finally {
      signal.removeEventListener('abort', stop);
      call.cancel();
    }
  }

  async changes(since: ChangePosition | undefined): Promise<RecordChanges> {
    const from = since && { teller: since.teller, number: BigInt(since.number) };
    const call = this.#client.listChanges({ since: from }, within(LIST_SECONDS));
    const found: RecordChanges['changes'] = [];
    let head: Omit<RecordChanges, 'changes'> | undefined;
    await this.#caller.watch('Asking what has changed', call, this.#signal, async () => {
      for await (const each of call as AsyncIterable<Wire.ListChangesResponse>) {
        const { position, isWhole, changes } = each;
        if (position === undefined) throw malformed('changes without a position');
        head = { position: { teller: position.teller, number: Number(position.number) }, isWhole };
        for (const change of changes) found.push(decodeChange(change));
      }
    });
    if (head === undefined) throw malformed('no changes and no position');
    return { ...head, changes: found };
  }

  async image(name: string): Promise<Buffer> {
    const ask: Ask<Wire.GetImageResponse> = (...how) => this.#client.getImage({ name }, ...how);
    return Buffer.from((await this.#ask(`Asking for ${name}`, ask)).record);
  }

  async images(stream?: string): Promise<NamedRecord[]> {
    const call = this.#client.listImages({ stream }, within(LIST_SECONDS));
    const found: NamedRecord[] = [];
    await this.#caller.watch('Listing images', call, this.#signal, async () => {
      for await (const { images } of call as AsyncIterable<Wire.ListImagesResponse>)
        for (const { name, record } of images) found.push({ name, record: Buffer.from(record) });
    });
    return found;
  }

  async createImage({ name, record }: NamedRecord, reuseName: boolean): Promise<void> {
    const ask: Ask<unknown> = (...how) => this.#client.createImage({ name, record, reuseName }, ...how);
    await this.#ask(`Making ${name}`, ask, CREATE_SECONDS);
  }

  async replaceImage({ name, record }: NamedRecord, expected: Buffer): Promise<void> {
    await this.#ask<unknown>(`Changing ${name}`, (...how) =>
      this.#client.replaceImage({ name, record, expected }, ...how),
    );
  }

  async deleteImage(
    name: string,
    { force = false, expected }: { force?: boolean; expected?: Buffer | undefined },
  ): Promise<void> {
    await this.#ask<unknown>(`Deleting ${name}`, (...how) =>
      this.#client.deleteImage({ name, force, expected }, ...how),
    );
  }

  async channels(stream?: string): Promise<ChannelRecord[]> {
    const call = this.#client.listChannels({ stream }, within(LIST_SECONDS));
    const found: ChannelRecord[] = [];
    await this.#caller.watch('Listing channels', call, this.#signal, async () => {
      for await (const { channels } of call as AsyncIterable<Wire.ListChannelsResponse>)
        for (const each of channels) found.push({ ...each, record: Buffer.from(each.record) });
    });
    return found;
  }

  async channel(stream: string, name: string): Promise<Buffer | undefined> {
    const ask: Ask<Wire.FindChannelResponse> = (...how) => this.#client.findChannel({ stream, name }, ...how);
    const { record } = await this.#ask(`Asking for ${stream}@${name}`, ask);
    return record && Buffer.from(record);
  }

  async replaceChannel(channel: ChannelRecord, expected: Buffer | undefined): Promise<void> {
    await this.#ask<unknown>(`Moving ${channel.stream}@${channel.name}`, (...how) =>
      this.#client.replaceChannel({ channel, expected }, ...how),
    );
  }

  async diskMaps(image: Buffer): Promise<Buffer> {
    const ask: Ask<Wire.ListDiskMapsResponse> = (...how) => this.#client.listDiskMaps({ image }, ...how);
    const { digests } = await this.#ask('Listing disk maps', ask);
    return Buffer.from(digests);
  }

  async diskMap(image: Buffer, disk: Buffer): Promise<Buffer | undefined> {
    return this.#content.diskMap(image, disk);
  }

  async keepDiskMap(image: Buffer, disk: Buffer, map: Buffer): Promise<void> {
    await this.#content.keepDiskMap(image, disk, map);
  }

  async sizes(digests: readonly Buffer[], toRead: boolean): Promise<(number | undefined)[]> {
    return this.#content.sizes(digests, toRead);
  }

  async check(
    digests: readonly Buffer[],
    { signal = this.#signal, onProgress }: Watch,
  ): Promise<{ state: (typeof STATES)[number]; size: number }[]> {
    const found: { state: (typeof STATES)[number]; size: number }[] = [];
    let [objects, bytes] = [0, 0];
    for (const part of partsOf(digests)) {
      const call = this.#client.checkObjects({ digests: Buffer.concat(part) }, within(CHECK_SECONDS));
      let result: Wire.CheckObjectsResponse_Result | undefined;
      await this.#caller.watch('Checking objects', call, signal, async () => {
        for await (const { event } of call as AsyncIterable<Wire.CheckObjectsResponse>) {
          if (event?.$case === 'result') result = event.value;
          if (event?.$case === 'progress')
            onProgress?.(objects + Number(event.value.objects), bytes + Number(event.value.bytes));
        }
      });
      if (result?.sizes.length !== part.length || result.states.length !== part.length)
        throw malformed('another number of states');
      for (const [at, size] of result.sizes.entries()) {
        const state = STATES[result.states[at]!];
        if (state === undefined) throw malformed('a state that is none');
        found.push({ state, size: Number(size) });
        bytes += Number(size);
      }
      objects += part.length;
    }
    return found;
  }

  async reportDamage(digests: readonly Buffer[]): Promise<void> {
    for (const part of partsOf(digests)) {
      const request = { digests: Buffer.concat(part) };
      await this.#ask<unknown>(
        'Telling of damage',
        (...how) => this.#client.reportDamage(request, ...how),
        CREATE_SECONDS,
      );
    }
  }

  object(digest: Buffer, start: number): AsyncIterable<Buffer> {
    return this.#content.object(digest, start);
  }

  async objects(digests: readonly Buffer[], limit: number): Promise<ObjectAnswer[]> {
    return this.#content.objects(digests, limit);
  }

  async sendObjects(objects: readonly SmallObject[]): Promise<boolean[]> {
    return this.#content.sendObjects(objects);
  }

  async sendObject(digest: Buffer, size: number, open: OpenObject): Promise<boolean> {
    return this.#content.sendObject(digest, size, open);
  }

  async deriveObject(wanted: FileData, found: FileData): Promise<boolean> {
    return this.#content.deriveObject(wanted, found);
  }

  close(): void {
    this.#client.close();
    this.#content.close();
  }

  async #ask<A>(doing: string, ask: Ask<A>, seconds?: number): Promise<A> {
    return this.#caller.ask(doing, this.#signal, ask, seconds);
  }
}

function decodeChange({
  what,
  record,
  damage,
}: Wire.ListChangesResponse_Change): RecordChanges['changes'][number] {
  if (what === undefined) throw malformed('a change of nothing');
  const name = what.$case === 'diskMaps' ? Buffer.from(what.value).toString('hex') : what.value;
  return { kind: what.$case, name, record: record && Buffer.from(record), damage };
}
