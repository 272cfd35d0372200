import type { handleServerStreamingCall, handleUnaryCall } from '@grpc/grpc-js';
import type * as Wire from './gen/image_unpacker/v1/unpacker.js';
import type { UnpackerServiceServer } from './gen/image_unpacker/v1/unpacker.js';
import { admit } from './admit.js';
import { unpackerDefinition } from './capture-codec.js';
import { serveCapture } from './capture-service.js';
import type { Role } from './role.js';
import type { ReportFailure } from './server-call.js';
import { answer, answerStream } from './server-call.js';
import type { Service, Trust } from './server.js';
import {
  encodeDevice,
  encodeProgress,
  encodeResult,
  encodeStatus,
  encodeStream,
} from './unpacker-messages.js';
import type { CallOptions, Unpacker } from './unpacker.js';

/** The service of an unpacker. Each call decodes, calls one function, and encodes. */
export function unpackerService(unpacker: Unpacker, trust: Trust, report: ReportFailure): Service {
  const unary =
    <Q, A>(role: Role, method: (request: Q, options: CallOptions) => Promise<A>): handleUnaryCall<Q, A> =>
    (call, callback) => {
      void answer(call, callback, report, signal => {
        admit(call, trust, role);
        return method(call.request, { signal });
      });
    };
  const unpack: handleServerStreamingCall<Wire.UnpackRequest, Wire.UnpackResponse> = call => {
    void answerStream(call, report, async signal => {
      admit(call, trust, 'publisher');
      const onProgress: CallOptions['onProgress'] = progress => {
        call.write({ event: { $case: 'progress', value: encodeProgress(progress) } });
      };
      const result = await unpacker.unpack(call.request, { signal, onProgress });
      call.write({ event: { $case: 'result', value: encodeResult(result) } });
    });
  };
  const implementation: UnpackerServiceServer = {
    unpack,
    capture: call => {
      void answerStream(call, report, async signal => {
        admit(call, trust, 'publisher');
        await serveCapture(call, unpacker, signal);
      });
    },
    getStatus: unary('reader', async (_request: Wire.GetStatusRequest, options) =>
      encodeStatus(await unpacker.status(options)),
    ),
    listDevices: unary('reader', async (_request: Wire.ListDevicesRequest, options) => ({
      devices: (await unpacker.devices(options)).map(encodeDevice),
    })),
    pinStream: unary('publisher', async ({ stream, device }: Wire.PinStreamRequest, options) => ({
      stream: encodeStream(await unpacker.pin(stream, device, options)),
    })),
    forgetStream: unary('admin', async (request: Wire.ForgetStreamRequest, options) => {
      await unpacker.forget(request.stream, request.removeVolume, options);
      return {};
    }),
  };
  return { definition: unpackerDefinition, implementation };
}
