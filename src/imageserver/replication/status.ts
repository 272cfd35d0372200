import type { ImageUnpackerError } from '../../image/error.js';
import type { ReplicationEvent } from './options.js';

/** How far a replica is. */
export interface ReplicationStatus {
  /** Where the source is, as the user named it. */
  source: string;
  state: 'connecting' | 'catching up' | 'following';
  /** Images of the source that are not here yet, or are changed there. */
  imagesBehind: number;
  /** Images, channels and lists of disk maps that could not be replicated when that was tried last. */
  refused: number;
  /** What was wrong last; undefined when all has been well since. */
  lastError: ImageUnpackerError | undefined;
  /** When all that the source had was here last, in RFC 3339. */
  followedAt: string | undefined;
}

/** What the events of a replication come to. */
export class StatusOfReplication {
  readonly #status: ReplicationStatus;
  readonly #now: () => number;

  constructor(source: string, now: () => number) {
    this.#now = now;
    const unknown = { lastError: undefined, followedAt: undefined };
    this.#status = { source, state: 'connecting', imagesBehind: 0, refused: 0, ...unknown };
  }

  get current(): ReplicationStatus {
    return { ...this.#status };
  }

  /** Takes an event into account. */
  add(event: ReplicationEvent): void {
    const status = this.#status;
    switch (event.kind) {
      case 'behind':
        status.state = 'catching up';
        status.imagesBehind = event.images;
        break;
      case 'image':
      case 'changed':
        status.imagesBehind = Math.max(0, status.imagesBehind - 1);
        break;
      case 'refused':
        status.state = 'catching up';
        status.lastError = event.error;
        break;
      case 'tried':
        status.refused = event.refused;
        break;
      case 'failed':
        status.state = 'connecting';
        status.lastError = event.error;
        break;
      case 'caught-up':
        status.state = 'following';
        status.imagesBehind = 0;
        status.lastError = undefined;
        status.followedAt = new Date(this.#now()).toISOString();
        break;
      default:
        break;
    }
  }
}
