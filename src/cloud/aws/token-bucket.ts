/**
 * How many calls may be made: `burst` at once, and then `perSecond`. Reserving is a function of the time that it is
 * given; waiting is left to the caller.
 */
export class TokenBucket {
  readonly #burst: number;
  readonly #perMillisecond: number;
  #tokens: number;
  #at: number;

  /** `now` is in milliseconds of any clock that only goes forward. */
  constructor({ burst, perSecond }: { burst: number; perSecond: number }, now: number) {
    this.#burst = burst;
    this.#perMillisecond = perSecond / 1000;
    this.#tokens = burst;
    this.#at = now;
  }

  /** Reserves a call; returns in how many milliseconds it may be made. */
  reserve(now: number): number {
    this.#refill(now);
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : Math.ceil(-this.#tokens / this.#perMillisecond);
  }

  /** Makes a call if it may be made now; returns whether it was. */
  take(now: number): boolean {
    this.#refill(now);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes all that was left away: the other end says that it was too much. */
  drain(now: number): void {
    this.#refill(now);
    this.#tokens = Math.min(this.#tokens, 0);
  }

  #refill(now: number): void {
    const gained = Math.max(0, now - this.#at) * this.#perMillisecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#at = Math.max(this.#at, now);
  }
}
