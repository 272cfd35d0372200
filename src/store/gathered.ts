/**
 * The same bytes in fewer pieces, of at least `bytes` each but for the last: what is done once a piece then costs little. Where
 * the chunks end with an error, what came before it is handed out first.
 */
export async function* gathered(
  chunks: AsyncIterable<Buffer>,
  bytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  const iterator = chunks[Symbol.asyncIterator]();
  let hasEnded = false;
  try {
    for (;;) {
      const held: Buffer[] = [];
      let size = 0;
      let failure: { reason: unknown } | undefined;
      while (size < bytes && failure === undefined && !hasEnded) {
        try {
          const next = await iterator.next();
          if (next.done === true) hasEnded = true;
          else size += held[held.push(next.value) - 1]!.length;
        } catch (reason) {
          hasEnded = true;
          failure = { reason };
        }
      }
      if (size > 0) yield held.length === 1 ? held[0]! : Buffer.concat(held, size);
      if (failure !== undefined) throw failure.reason;
      if (hasEnded) return;
    }
  } finally {
    if (!hasEnded) await iterator.return?.();
  }
}
