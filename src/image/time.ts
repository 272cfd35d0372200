/** Times are nanoseconds since 1970, negative before. */
const NANOSECONDS = 1_000_000_000n;

/** Whole seconds of a time, rounded towards the past. */
export function secondsOf(time: bigint): bigint {
  return (time - BigInt(nanosecondsOf(time))) / NANOSECONDS;
}

/** What of a time is left beside its whole seconds: 0 to 999,999,999. */
export function nanosecondsOf(time: bigint): number {
  return Number(((time % NANOSECONDS) + NANOSECONDS) % NANOSECONDS);
}

/** A time as it is shown: in seconds, with nine decimals. */
export function showTime(time: bigint): string {
  const size = time < 0n ? -time : time;
  const rest = String(size % NANOSECONDS).padStart(9, '0');
  return `${time < 0n ? '-' : ''}${String(size / NANOSECONDS)}.${rest}`;
}
