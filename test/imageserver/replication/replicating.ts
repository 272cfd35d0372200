import { setTimeout } from 'node:timers/promises';
import { follow, SYSTEM_CLOCK } from '../../../src/imageserver/replication/follow.js';
import { openLocalStore } from '../../../src/store/local/store.js';
import { observed } from './stores.js';

/*
 * Follows the store SOURCE by the store DESTINATION, and kills itself when so many calls were made of the two and so many
 * milliseconds more have gone by. Ends when all is there.
 */

const [from, to, calls, milliseconds] = process.argv.slice(2);
const [source, destination] = [await openLocalStore(from!), await openLocalStore(to!, { create: true })];
const controller = new AbortController();
let left = Number(calls);
const count = (): void => {
  if (left-- === 0) {
    void setTimeout(Number(milliseconds)).then(() => process.kill(process.pid, 'SIGKILL'));
  }
};
await follow(observed(source, count), observed(destination, count), {
  clock: SYSTEM_CLOCK,
  signal: controller.signal,
  onEvent: event => {
    if (event.kind === 'refused' || event.kind === 'failed') throw event.error;
    if (event.kind === 'caught-up') controller.abort();
  },
});
await destination.close();
await source.close();
