import { credentials } from '@grpc/grpc-js';
import { once } from 'node:events';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import test from 'ava';
import type { HealthCheckResponse } from '../../src/rpc/gen/grpc/health/v1/health.js';
import { HealthClient } from '../../src/rpc/gen/grpc/health/v1/health.js';
import type {
  ServerReflectionRequest,
  ServerReflectionResponse,
} from '../../src/rpc/gen/grpc/reflection/v1/reflection.js';
import { ServerReflectionClient } from '../../src/rpc/gen/grpc/reflection/v1/reflection.js';
import { serveFake } from './serve.js';

test('a server is healthy until it stops, and tells who watches', async t => {
  const { where, server } = await serveFake(t);
  const client = new HealthClient(where, credentials.createInsecure());
  t.teardown(() => {
    client.close();
  });
  const answer = await new Promise<HealthCheckResponse>((resolve, reject) => {
    client.check({ service: '' }, (failure, response) => {
      if (failure === null) resolve(response);
      else reject(failure);
    });
  });
  t.is(answer.status, 1);
  const watch = client.watch({ service: '' });
  const [first] = (await once(watch, 'data')) as [HealthCheckResponse];
  const second = once(watch, 'data') as Promise<[HealthCheckResponse]>;
  await server.stop(1);
  t.deepEqual([first.status, (await second)[0].status], [1, 2]);
});

test('the server says what it offers', async t => {
  const { where } = await serveFake(t);
  const client = new ServerReflectionClient(where, credentials.createInsecure());
  t.teardown(() => {
    client.close();
  });
  const ask = async (
    messageRequest: ServerReflectionRequest['messageRequest'],
  ): Promise<ServerReflectionResponse> => {
    const call = client.serverReflectionInfo();
    call.on('error', () => undefined);
    call.write({ host: '', messageRequest });
    const [answer] = (await once(call, 'data')) as [ServerReflectionResponse];
    call.end();
    return answer;
  };
  const listed = await ask({ $case: 'listServices', value: '' });
  t.deepEqual(listed.messageResponse, {
    $case: 'listServicesResponse',
    value: { service: [{ name: 'image_unpacker.v1.UnpackerService' }, { name: 'grpc.health.v1.Health' }] },
  });
  const names = [
    ['fileContainingSymbol', 'image_unpacker.v1.UnpackerService'],
    ['fileContainingSymbol', 'image_unpacker.v1.UnpackerService.Unpack'],
    ['fileContainingSymbol', 'image_unpacker.v1.Stream'],
    ['fileByFilename', 'image_unpacker/v1/unpacker.proto'],
  ] as const;
  for (const [$case, value] of names) {
    const { messageResponse } = await ask({ $case, value });
    if (messageResponse?.$case !== 'fileDescriptorResponse') return t.fail(value);
    const file = fromBinary(FileDescriptorProtoSchema, messageResponse.value.fileDescriptorProto[0]!);
    t.is(file.name, 'image_unpacker/v1/unpacker.proto');
  }
  for (const $case of ['fileContainingSymbol', 'allExtensionNumbersOfType'] as const) {
    t.is((await ask({ $case, value: 'no.such' })).messageResponse?.$case, 'errorResponse');
  }
});
