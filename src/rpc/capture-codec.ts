import { makeGenericClientConstructor } from '@grpc/grpc-js';
import { DISK_BLOCK_SIZE } from '../image/disk-map.js';
import {
  CaptureResponse,
  type UnpackerServiceClient,
  UnpackerServiceService,
} from './gen/image_unpacker/v1/unpacker.js';

/*
 * The messages that carry blocks, in and out with no copy more than gRPC itself makes: half of the time of a
 * capture would go into those, and into collecting them. On the wire nothing is different:
 *
 *   response = 1A length block                     field 3 of CaptureResponse
 *   block    = 0A length data                      field 1 of Block
 *   length   = varint: seven bits a byte, the lowest first; the top bit says that another byte follows
 */

const BLOCK_FIELD = 0x1a;
const DATA_FIELD = 0x0a;
/** Of lengths up to 2 MiB. */
const LENGTH_BYTES = 3;
const DATA_OFFSET = 2 * (1 + LENGTH_BYTES);

/** gRPC copies a message behind its own header as soon as it is encoded, so that one after another has room here. */
const room = Buffer.alloc(DATA_OFFSET + DISK_BLOCK_SIZE);

export function encodeCaptureResponse(response: CaptureResponse): Buffer {
  const { event } = response;
  if (event?.$case !== 'block' || event.value.data.length !== DISK_BLOCK_SIZE) {
    return Buffer.from(CaptureResponse.encode(response).finish());
  }
  const { data } = event.value;
  room[0] = BLOCK_FIELD;
  writeLength(room, 1, 1 + LENGTH_BYTES + data.length);
  room[1 + LENGTH_BYTES] = DATA_FIELD;
  writeLength(room, 2 + LENGTH_BYTES, data.length);
  data.copy(room, DATA_OFFSET);
  return room;
}

export function decodeCaptureResponse(bytes: Buffer): CaptureResponse {
  const isBlock =
    bytes.length === room.length &&
    bytes[0] === BLOCK_FIELD &&
    readLength(bytes, 1) === 1 + LENGTH_BYTES + DISK_BLOCK_SIZE &&
    bytes[1 + LENGTH_BYTES] === DATA_FIELD &&
    readLength(bytes, 2 + LENGTH_BYTES) === DISK_BLOCK_SIZE;
  if (!isBlock) return CaptureResponse.decode(bytes);
  return { event: { $case: 'block', value: { data: bytes.subarray(DATA_OFFSET) } } };
}

function writeLength(bytes: Buffer, at: number, length: number): void {
  bytes[at] = (length & 0x7f) | 0x80;
  bytes[at + 1] = ((length >> 7) & 0x7f) | 0x80;
  bytes[at + 2] = length >> 14;
}

/** A length of three bytes; -1 for one of another size. */
function readLength(bytes: Buffer, at: number): number {
  const [low, middle, high] = [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!];
  if (low < 0x80 || middle < 0x80 || high >= 0x80) return -1;
  return (low & 0x7f) | ((middle & 0x7f) << 7) | (high << 14);
}

/** The service of an unpacker, with this codec. */
export const unpackerDefinition: typeof UnpackerServiceService = {
  ...UnpackerServiceService,
  capture: {
    ...UnpackerServiceService.capture,
    responseSerialize: encodeCaptureResponse,
    responseDeserialize: decodeCaptureResponse,
  },
};

/** The client of an unpacker, with this codec. */
export const UnpackerCaller = makeGenericClientConstructor(
  unpackerDefinition,
  'UnpackerService',
) as unknown as typeof UnpackerServiceClient;
