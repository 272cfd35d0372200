import { Socket } from 'node:net';
import { cancelled } from '../image/error.js';
import type { UnpackResult } from '../rpc/unpacker.js';
import { runCapture } from './capture-work.js';
import { Orders } from './orders.js';
import { ProgressTeller } from './progress-teller.js';
import { runUnpack } from './unpack-work.js';
import type { Order, Report, Work } from './work.js';
import { FRAMES_DESCRIPTOR, sendableError } from './work.js';

/*
 * The process that works on one volume for the agent: what it does blocks no call to the agent, and what it breaks
 * breaks nothing but itself. It goes when the work is done, and at once when the agent has gone: the lock of the
 * state directory, which it has inherited, must not outlive that.
 */

const controller = new AbortController();
const orders = new Orders();
const dieWithAgent = (): void => {
  process.kill(process.pid, 'SIGKILL');
};

process.on('disconnect', dieWithAgent);
process.on('message', (order: Order) => {
  if (order.kind === 'begin') void run(order.work);
  else if (order.kind !== 'stop') orders.add(order);
  else {
    controller.abort(cancelled());
    orders.fail(cancelled());
  }
});
// The agent decides what a signal to the whole group means, and says so.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

async function run(work: Work): Promise<void> {
  let report: Report;
  try {
    report = { kind: 'done', result: await perform(work) };
  } catch (reason) {
    report = { kind: 'failed', error: sendableError(reason) };
  }
  await send(report);
  process.off('disconnect', dieWithAgent);
  process.disconnect();
}

async function perform(work: Work): Promise<UnpackResult | null> {
  const { signal } = controller;
  const teller = new ProgressTeller(advance => void send({ kind: 'progress', advance }));
  try {
    if (work.kind === 'unpack') return await runUnpack(work, teller, signal);
    const frames = new Socket({ fd: FRAMES_DESCRIPTOR });
    try {
      await runCapture(work, { teller, signal, frames, orders });
      return null;
    } finally {
      frames.destroy();
    }
  } finally {
    teller.stop();
  }
}

async function send(report: Report): Promise<void> {
  await new Promise<void>(resolve => {
    // A channel that is closed means that the agent has gone, and with it this process.
    process.send!(report, undefined, undefined, () => {
      resolve();
    });
  });
}
