import { setFlagsFromString } from 'node:v8';

/** How to say so to the V8 of Node 20 and of Node 22. Since Node 24 Maglev compiles first, at little cost. */
const FLAGS: Readonly<Record<string, string>> = {
  11: '--interrupt-budget=1000000',
  12: '--invocation-count-for-turbofan=45000',
};

/**
 * Has V8 optimise only what has run fifteen times as long as it takes by default. A volume is patched in less time
 * than TurboFan needs to pay for itself: a fifth of the CPU went into code that was hardly run. What works for
 * seconds is optimised as before. To be called at the start of a process, the flag counts from then on.
 */
export function delayTierUp(): void {
  const flag = FLAGS[process.versions.v8.split('.')[0]!];
  if (flag !== undefined) setFlagsFromString(flag);
}
