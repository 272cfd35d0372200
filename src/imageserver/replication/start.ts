import type { Store } from '../../store/store.js';
import { follow, SYSTEM_CLOCK } from './follow.js';
import type { ReplicationEvent } from './options.js';
import type { ReplicationStatus } from './status.js';
import { StatusOfReplication } from './status.js';

/** What is told of what happens. */
export interface ReplicationLog {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

export interface StartOptions {
  /** What the source is called. */
  source: string;
  openSource: (signal: AbortSignal) => Promise<Store>;
  openDestination: () => Promise<Store>;
  /** Told whenever the destination was changed. */
  onChange: () => void;
  log: ReplicationLog;
}

/** What is told of when the destination was changed. */
const CHANGES = new Set<ReplicationEvent['kind']>(['image', 'changed', 'removed', 'channel', 'disk-map']);

/** A replication that is under way. */
export interface Replication {
  status(): ReplicationStatus;
  /** Ends it; what has arrived stays, and is not sent again. */
  stop(): Promise<void>;
}

/** Begins to follow a source, be it there already or not. */
export function startReplication({
  source,
  openSource,
  openDestination,
  onChange,
  log,
}: StartOptions): Replication {
  const controller = new AbortController();
  const { signal } = controller;
  const status = new StatusOfReplication(source, () => SYSTEM_CLOCK.now());
  const onEvent = (event: ReplicationEvent): void => {
    status.add(event);
    if (CHANGES.has(event.kind)) onChange();
    tell(log, source, event);
  };
  const options = { clock: SYSTEM_CLOCK, signal, onEvent, sourceName: source };
  const over = follow(async () => openSource(signal), openDestination, options);
  return {
    status: () => status.current,
    stop: async () => {
      controller.abort();
      await over;
    },
  };
}

function tell(log: ReplicationLog, source: string, { kind, ...facts }: ReplicationEvent): void {
  const all = { source, ...facts, ...reasonOf(facts) };
  switch (kind) {
    case 'progress':
    case 'behind':
    case 'tried':
      log.debug(all, 'replicating');
      break;
    case 'image':
      log.info(all, 'an image was replicated');
      break;
    case 'changed':
      log.info(all, 'an image was changed as it was at the source');
      break;
    case 'removed':
      log.info(all, 'an image was removed as it was at the source');
      break;
    case 'channel':
      log.info(all, 'a channel was moved as it was at the source');
      break;
    case 'disk-map':
      log.info(all, 'a disk map was replicated');
      break;
    case 'caught-up':
      log.info(all, 'all that the source has is here');
      break;
    case 'refused':
      log.error(all, 'something cannot be replicated');
      break;
    case 'held':
      log.error(
        all,
        'the source has no images; nothing is removed, in case it is not the one that was meant',
      );
      break;
    case 'failed':
      log.warn(all, 'the source cannot be followed; it is tried again');
      break;
  }
}

/** An error as logs have it. */
function reasonOf(facts: object): object {
  if (!('error' in facts)) return {};
  const { code, message, cause } = facts.error as { code: string; message: string; cause?: unknown };
  return { error: undefined, code, reason: message, err: cause };
}
