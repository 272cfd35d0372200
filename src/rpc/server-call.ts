import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { cancelled, ImageUnpackerError } from '../image/error.js';
import { toStatus } from './error-status.js';

/** Told of each call that failed, by its path. */
export type ReportFailure = (path: string, error: ImageUnpackerError) => void;

/** Answers a call with what `work` resolves to, or with its failure. The signal follows the caller. */
export async function answer<Q, A>(
  call: ServerUnaryCall<Q, A>,
  callback: sendUnaryData<A>,
  report: ReportFailure,
  work: (signal: AbortSignal) => Promise<A>,
): Promise<void> {
  try {
    callback(null, await work(signalOf(call)));
  } catch (reason) {
    callback(failureOf(call, reason, report));
  }
}

/** Runs `work`, which writes the answers to a call, and then ends the call, with the failure of the work if any. */
export async function answerStream<Q, A>(
  call: ServerWritableStream<Q, A> | ServerDuplexStream<Q, A>,
  report: ReportFailure,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  try {
    await work(signalOf(call));
    call.end();
  } catch (reason) {
    call.emit('error', failureOf(call, reason, report));
  }
}

/** What all kinds of calls have in common. */
interface Call {
  once(event: 'cancelled', listener: () => void): unknown;
  getPath(): string;
}

/** Aborted when the caller cancels, goes away or has waited as long as it will. */
function signalOf(call: Call): AbortSignal {
  const controller = new AbortController();
  call.once('cancelled', () => {
    controller.abort(cancelled());
  });
  return controller.signal;
}

function failureOf(call: Call, reason: unknown, report: ReportFailure): Error {
  const error = ImageUnpackerError.from(reason, 'Something unforeseen happened in the agent');
  report(call.getPath(), error);
  return Object.assign(new Error(error.message), toStatus(error));
}
