import { PassThrough } from 'node:stream';
import test from 'ava';
import { FrameReader, writeFrame } from '../../src/unpacker/frames.js';

test('frames arrive as they were sent, however they are cut', async t => {
  const [sent, received] = [new PassThrough(), new PassThrough()];
  const reader = new FrameReader(received);
  const frames = [Buffer.alloc(200_000, 1), undefined, Buffer.from('x'), undefined];
  sent.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; at += 7777) received.write(chunk.subarray(at, at + 7777));
  });
  const written = (async (): Promise<void> => {
    for (const frame of frames) await writeFrame(sent, frame);
  })();
  for (const frame of frames) t.deepEqual(await reader.read(), frame);
  await written;
});

test('who waits for a frame that does not come learns why', async t => {
  const socket = new PassThrough();
  const reader = new FrameReader(socket);
  socket.write(Buffer.from([9, 0]));
  const read = t.throwsAsync(reader.read(), { message: 'first' });
  reader.fail(new Error('first'));
  reader.fail(new Error('second'));
  await read;
  await t.throwsAsync(reader.read(), { message: 'first' });
  const cut = new PassThrough();
  const other = new FrameReader(cut);
  cut.write(Buffer.from([9, 0, 0, 0, 1]));
  cut.destroy();
  await t.throwsAsync(other.read(), { code: 'INTERNAL' });
});
