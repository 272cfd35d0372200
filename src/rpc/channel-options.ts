import type { ChannelOptions } from '@grpc/grpc-js';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

/** No message is larger; what holds more comes in pieces. */
export const MAX_MESSAGE_BYTES = 1 << 20;

/** What both ends of a connection agree on. */
export const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  // Of 64 KiB, which is the default, bulk data would wait for its acknowledgements most of the time.
  'grpc-node.flow_control_window': 16 << 20,
  // A peer whose machine has gone is noticed after this much silence.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // An agent is on this machine or in the same network; what the environment says of proxies is not for it.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // A call that may have begun is not made twice behind the caller's back.
  'grpc.enable_retries': 0,
};

// What goes wrong is an error of a call; nobody but the programs writes to the console, unless they are told to.
if (process.env['GRPC_VERBOSITY'] === undefined) setLogVerbosity(logVerbosity.NONE);
