import type { Unpacker } from '../rpc/unpacker.js';
import type { Store } from '../store/store.js';
import type { ConnectAgent } from './fleet/connect-agent.js';
import type { PublishEvent } from './event.js';
import type { OpenTarget } from './open-target.js';
import type { Target } from './target.js';

/** Where runs are kept unless it is said otherwise. */
export const STATE_DIRECTORY = '/var/lib/image-unpacker';

/** What everything that looks at targets takes. */
export interface TargetsOptions {
  readonly targets: readonly Target[];
  readonly signal?: AbortSignal | undefined;
  /** How targets are opened; for tests and for targets of other kinds. */
  readonly openTarget?: OpenTarget | undefined;
  readonly now?: (() => Date) | undefined;
}

/** What everything that goes on with runs takes. */
export interface RunOptions {
  /** Where the journals of runs are kept; default: `/var/lib/image-unpacker`. */
  readonly stateDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly openTarget?: OpenTarget | undefined;
  readonly now?: (() => Date) | undefined;
}

/** What is needed to make a disk of an image. */
export interface UnpackOptions {
  readonly store: Store;
  /**
   * What unpacks the image. A function is asked for it only if there is something to unpack, and what it gives
   * is closed in the end.
   */
  readonly unpacker: Unpacker | (() => Promise<Unpacker>);
  /** Told what happens, and how far it is, at least once a second while anything is being done. */
  readonly onEvent?: ((event: PublishEvent) => void) | undefined;
  readonly unpackers?: UnpackersOptions | undefined;
}

/** How the unpackers of targets are found and reached that unpack images themselves (strategy `snapshot`). */
export interface UnpackersOptions {
  /** What their instances are called (tag `Name`); default: `ImageUnpacker`. */
  readonly name?: string | undefined;
  /** The directory of the certificates that their agents are called with. */
  readonly certs?: string | undefined;
  /** The name that the certificates of their agents have; default: the private addresses of their instances. */
  readonly serverName?: string | undefined;
  readonly connect?: ConnectAgent | undefined;
}

/** What is published, and how. */
export interface PublishOptions extends TargetsOptions, RunOptions, UnpackOptions {
  /** The image: `stream/leaf`, or `stream@channel` for the one that the channel names. */
  readonly image: string;
  /** Further tags of the images. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** After how many seconds the images expire; default: never. */
  readonly expiresIn?: number | undefined;
}
