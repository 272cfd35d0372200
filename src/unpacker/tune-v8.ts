import { setFlagsFromString } from 'node:v8';

/**
 * What is said to V8, by its major version: to that of Node 20 and of Node 22 that it optimise only what has run fifteen
 * times as long as it takes by default; to that of Node 24, in which Maglev compiles first at little cost, that the part of
 * the heap for what is new stay small.
 */
const FLAGS: Readonly<Record<string, string>> = {
  11: '--interrupt-budget=1000000',
  12: '--invocation-count-for-turbofan=45000',
  13: '--semi-space-growth-factor=1',
};

/**
 * Flags that V8 has in each version of Node that we support: what is new takes little, so that buffers are let go of before they count
 * as old; what is old may grow to three times of what is in use.
 */
const PASSING = ['--semi-space-growth-factor=1', '--heap-growing-percent=200'];

/**
 * Has V8 suit a program that bytes pass through, of hundreds of calls at once. Buffers count as memory of the heap once they are
 * old: marking all of a small heap for every ten megabytes that passed was a quarter of what an image server did, and a sixth of
 * what a publisher does. To be called at the start of a process.
 */
export function letBuffersGoEarly(): void {
  for (const flag of PASSING) setFlagsFromString(flag);
}

/**
 * Has V8 suit a program that holds what it reads, as a build does the entries of an image: what is old grows to twice of what is in
 * use before it is collected, not to four times. 200,000 entries take 190 MiB rather than 270, and a thirtieth more of a
 * processor. To be called at the start of a process.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=100');
}

/**
 * Has V8 suit programs that work for a second or hold 200,000 entries. A volume is patched in less time than TurboFan
 * needs to pay for itself: a fifth of the CPU went into code that was hardly run. What works for seconds is optimised as
 * before. Where what is new may take 100 MiB, building a large image takes a third more memory. To be called at the
 * start of a process, the flag counts from then on.
 */
export function tuneV8(): void {
  const flag = FLAGS[process.versions.v8.split('.')[0]!];
  if (flag !== undefined) setFlagsFromString(flag);
}
