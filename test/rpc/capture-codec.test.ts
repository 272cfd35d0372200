import test from 'ava';
import { DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';
import { decodeCaptureResponse, encodeCaptureResponse } from '../../src/rpc/capture-codec.js';
import { CaptureResponse } from '../../src/rpc/gen/image_unpacker/v1/unpacker.js';

const responses: [what: string, response: CaptureResponse][] = [
  ['a block', { event: { $case: 'block', value: { data: Buffer.alloc(DISK_BLOCK_SIZE, 7) } } }],
  [
    'a block of another size',
    { event: { $case: 'block', value: { data: Buffer.alloc(DISK_BLOCK_SIZE - 1, 7) } } },
  ],
  ['a block of zeros', { event: { $case: 'block', value: { data: Buffer.alloc(0) } } }],
  [
    'a piece of a map',
    { event: { $case: 'map', value: { data: Buffer.alloc(DISK_BLOCK_SIZE), last: true } } },
  ],
];

for (const [what, response] of responses) {
  test(`${what} is on the wire what any other implementation makes of it`, t => {
    const bytes = Buffer.from(CaptureResponse.encode(response).finish());
    t.true(bytes.equals(encodeCaptureResponse(response)));
    t.deepEqual(decodeCaptureResponse(bytes), response);
  });
}

test('what has the size of a block and is none is decoded as what it is', t => {
  const bytes = Buffer.from(encodeCaptureResponse(responses[0]![1]));
  // Field 2 in place of field 1 within the block: it is skipped.
  bytes[4] = 0x12;
  t.deepEqual(decodeCaptureResponse(bytes), { event: { $case: 'block', value: { data: Buffer.alloc(0) } } });
  bytes[1] = 0xff;
  t.throws(() => decodeCaptureResponse(bytes));
});
