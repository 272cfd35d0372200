import type { ConnectAgent as AnyConnectAgent } from '../../cloud/aws/fleet/agent.js';
import { showAddress, UNPACKER_PORT } from '../../rpc/address.js';
import { connectUnpacker } from '../../rpc/unpacker-client.js';
import type { Unpacker } from '../../rpc/unpacker.js';

/** Connects to the agent of an unpacker, which may be coming up: it may take `patience` seconds. */
export type ConnectAgent = AnyConnectAgent<Unpacker>;

/**
 * What reaches agents at the private addresses of their machines. Their certificates must have the address, or the name
 * that is given.
 */
export function connectByAddress(certs: string | undefined, serverName: string | undefined): ConnectAgent {
  return (host, how) =>
    connectUnpacker(showAddress({ kind: 'tcp', host, port: UNPACKER_PORT }), { certs, serverName, ...how });
}
