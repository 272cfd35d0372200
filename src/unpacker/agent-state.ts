import { join } from 'node:path';
import * as v from 'valibot';
import { ImageUnpackerError } from '../image/error.js';
import { seal, unseal } from '../image/sealed.js';
import { replaceDurably } from '../store/durable.js';
import { readIfThere } from '../volume/state-directory.js';

/*
 * What the agent remembers of its streams: DIR/agent in the state directory, sealed (image/sealed.ts).
 */

const FILE = 'agent';

const deviceSchema = v.strictObject({
  kind: v.literal('device'),
  id: v.strictObject({ kind: v.picklist(['serial', 'by-id', 'path']), name: v.string() }),
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
});

const fileSchema = v.strictObject({
  kind: v.literal('file'),
  path: v.string(),
  /** Work on it has ended well once: from then on it is not made anew. */
  made: v.boolean(),
});

const streamSchema = v.strictObject({
  stream: v.string(),
  volume: v.variant('kind', [deviceSchema, fileSchema]),
  lastUsed: v.nullable(v.string()),
  error: v.nullable(v.strictObject({ code: v.string(), message: v.string() })),
});

const stateSchema = v.strictObject({ streams: v.array(streamSchema) });

/** A stream and the volume that is its own. */
export type StreamRecord = v.InferOutput<typeof streamSchema>;
/** The volume of a stream. */
export type StreamVolume = StreamRecord['volume'];

/** What an agent remembers, kept durably. */
export class AgentState {
  readonly #path: string;
  readonly #streams: Map<string, StreamRecord>;
  /** Writes happen one after another. */
  #written: Promise<void> = Promise.resolve();

  private constructor(path: string, streams: Map<string, StreamRecord>) {
    this.#path = path;
    this.#streams = streams;
  }

  /** Reads what is remembered in a state directory. Throws `STATE_DAMAGED`. */
  static async read(directory: string): Promise<AgentState> {
    const path = join(directory, FILE);
    const text = await readIfThere(path);
    if (text === undefined) return new AgentState(path, new Map());
    try {
      const { streams } = v.parse(stateSchema, unseal(text, path, 'STATE_DAMAGED'));
      return new AgentState(path, new Map(streams.map(record => [record.stream, record])));
    } catch (reason) {
      const remedy = 'move it away and pin the streams again; what is known of the volumes is not lost';
      const what = `What the agent remembers of its streams in ${path} is damaged`;
      throw new ImageUnpackerError('STATE_DAMAGED', `${what}; ${remedy}`, { path }, reason);
    }
  }

  /** All streams, by name. */
  streams(): StreamRecord[] {
    return [...this.#streams.values()].sort((a, b) => (a.stream < b.stream ? -1 : 1));
  }

  stream(name: string): StreamRecord | undefined {
    return this.#streams.get(name);
  }

  /** Adds or replaces a stream, durably. */
  async put(record: StreamRecord): Promise<void> {
    this.#streams.set(record.stream, record);
    await this.#write();
  }

  /** Forgets a stream, durably. */
  async remove(name: string): Promise<void> {
    this.#streams.delete(name);
    await this.#write();
  }

  async #write(): Promise<void> {
    const before = this.#written;
    const writing = (async (): Promise<void> => {
      await before.catch(() => undefined);
      await replaceDurably(this.#path, seal({ streams: this.streams() }), 0o600);
    })();
    this.#written = writing;
    await writing.catch((reason: unknown) => {
      throw ImageUnpackerError.from(reason, `Cannot write ${this.#path}`, { path: this.#path });
    });
  }
}
