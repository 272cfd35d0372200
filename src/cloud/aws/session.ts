import { setMaxListeners } from 'node:events';
import type { ErrorSubject } from '../../image/error.js';
import { cancelled, ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import type { CloudPlace } from '../cloud.js';
import type { CallName, CallTypes, ServiceName } from './calls.js';
import { CALLS } from './calls.js';
import type { AwsClients } from './clients.js';
import type { Clock } from './clock.js';
import { AwsError, faultOf } from './fault.js';
import type { CallFault } from './fault.js';
import { PARALLELISM } from './parallelism.js';
import { SendingLimits } from './sending-limits.js';
import { TokenBucket } from './token-bucket.js';

/** How long one attempt may take: a block may be on a slow line, and a snapshot's start is slow by itself. */
const ATTEMPT_MILLISECONDS: Readonly<Record<ServiceName, number>> = {
  ec2: 30_000,
  ebs: 20_000,
  ssm: 20_000,
  kms: 20_000,
  sts: 20_000,
  autoscaling: 30_000,
};
const MOST_TRIES = 8;
const FIRST_WAIT = 200;
const LONGEST_WAIT = 20_000;
/** The direct API got to know a snapshot up to 67 s after EC2, and was reported to take two minutes. */
const MISSING_MILLISECONDS = 150_000;

/** How a call is made. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** What is not there is waited for, as it may not be known everywhere yet. */
  readonly retryMissing?: boolean | undefined;
  /** It would be done twice if it was made again after its answer was lost: it fails then. */
  readonly once?: boolean | undefined;
}

/** Takes what it wants of an answer, such as a body that comes after it. */
type Take<N extends CallName, T> = (answer: CallTypes[N][1]) => Promise<T>;

/** One account and region, as one publisher uses it: every call goes through it. */
export class AwsSession {
  readonly #clients: AwsClients;
  readonly #clock: Clock;
  readonly #place: string;
  readonly #subject: ErrorSubject;
  readonly #buckets = new Map<CallName, TokenBucket>();
  readonly sending: SendingLimits;
  /** The snapshots that were removed: that one of them is not found does not mean that it is too new. */
  readonly removed = new Set<string>();

  /** Whose session it is and where, when that is known. */
  readonly place: CloudPlace | undefined;

  /** `place` is what it is called in errors. `sending` is shared by sessions that send blocks at the same time. */
  constructor(
    clients: AwsClients,
    clock: Clock,
    place: string | CloudPlace,
    sending = new SendingLimits(PARALLELISM),
  ) {
    this.sending = sending;
    this.#clients = clients;
    this.#clock = clock;
    this.place = typeof place === 'string' ? undefined : place;
    this.#place = typeof place === 'string' ? place : `${place.account}/${place.region}`;
    this.#subject = { target: this.#place };
  }

  get clock(): Clock {
    return this.#clock;
  }

  /**
   * Makes a call, again and again while its failure is one that passes, no faster than AWS allows. Every call that
   * changes anything is made so that repeating it does no harm. Throws `AwsError`, `CANCELLED`.
   */
  call<N extends CallName>(
    name: N,
    input: CallTypes[N][0],
    options: CallOptions = {},
  ): Promise<CallTypes[N][1]> {
    return this.callAndTake(name, input, answer => Promise.resolve(answer), options);
  }

  /** As `call`; `take` is a part of each attempt, with its time-out, and is made again with it. */
  async callAndTake<N extends CallName, T>(
    name: N,
    input: CallTypes[N][0],
    take: Take<N, T>,
    { signal, retryMissing = false, once = false }: CallOptions = {},
  ): Promise<T> {
    // Each call listens, and there are as many at once as there are targets and blocks on their way.
    if (signal !== undefined) setMaxListeners(0, signal);
    const began = this.#clock.now();
    for (let attempt = 1; ; attempt++) {
      await this.#await(name, signal);
      try {
        const attempt = () => this.#attempt(name, input, take, signal);
        return await (name === 'PutSnapshotBlock' ? this.sending.within(attempt) : attempt());
      } catch (reason) {
        throwIfAborted(signal);
        if (reason instanceof ImageUnpackerError) throw reason;
        const fault = faultOf(reason, name);
        const waited = this.#clock.now() - began;
        const isHopeful =
          fault.kind === 'missing'
            ? retryMissing && waited < MISSING_MILLISECONDS
            : attempt < MOST_TRIES && passes(fault, once);
        if (!isHopeful) {
          throw new AwsError(name, this.#place, fault, this.#subject, reason);
        }
        if (fault.kind === 'throttled') this.#bucket(name).drain(this.#clock.now());
        await this.#clock.sleep(this.#backOff(attempt), signal);
      }
    }
  }

  async #await(name: CallName, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    const wait = this.#bucket(name).reserve(this.#clock.now());
    if (wait > 0) await this.#clock.sleep(wait, signal);
  }

  async #attempt<N extends CallName, T>(
    name: N,
    input: CallTypes[N][0],
    take: Take<N, T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const { service } = CALLS[name];
    // A signal that is made for each attempt (AbortSignal.timeout, AbortSignal.any) keeps all that hangs on it until the time
    // is over, which is long after thousands of blocks have been sent.
    const attempt = new AbortController();
    let giveUp: (reason: Error) => void;
    // What the SDK does before a request, such as taking on a role, and what comes after an answer heeds no signal.
    const stopped = new Promise<never>((_, reject) => (giveUp = reject));
    const stop = (): void => {
      attempt.abort();
      giveUp(cancelled());
    };
    const timer = setTimeout(stop, ATTEMPT_MILLISECONDS[service]);
    signal?.addEventListener('abort', stop);
    if (signal?.aborted === true) stop();
    try {
      return await Promise.race([this.#clients.send(name, input, attempt.signal).then(take), stopped]);
    } catch (reason) {
      if (signal?.aborted === true) throw cancelled();
      if (attempt.signal.aborted) {
        const seconds = String(ATTEMPT_MILLISECONDS[service] / 1000);
        throw Object.assign(new Error(`no answer within ${seconds} s`), { name: 'TimeoutError' });
      }
      throw reason;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }

  #bucket(name: CallName): TokenBucket {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new TokenBucket(CALLS[name], this.#clock.now());
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }

  /** Half of it is chance, so that many who failed together do not come again together. */
  #backOff(attempt: number): number {
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1));
    return most * (0.5 + this.#clock.random() / 2);
  }
}

function passes({ kind }: CallFault, once: boolean): boolean {
  return kind === 'throttled' || (kind === 'transient' && !once);
}
