import type { ListChangesResponse_Change } from '../rpc/gen/image_unpacker/v1/image_server.js';
import type { Change } from './change-feed.js';

/** A change as it crosses the wire. */
export function encodeChange({ kind, name, record, damage }: Change): ListChangesResponse_Change {
  const what =
    kind === 'diskMaps'
      ? ({ $case: kind, value: Buffer.from(name, 'hex') } as const)
      : ({ $case: kind, value: name } as const);
  return { what, record, damage };
}
