import type { ServerDuplexStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import type {
  ServerReflectionRequest as Request,
  ServerReflectionResponse as Response,
  ServerReflectionServer,
} from './gen/grpc/reflection/v1/reflection.js';
import { ServerReflectionService } from './gen/grpc/reflection/v1/reflection.js';
import type { Service } from './server.js';

type Answer = NonNullable<Response['messageResponse']>;

/** The reflection service: what the server offers, for tools that know nothing of it. */
export function reflectionService(services: readonly Service[]): Service {
  const names = services.map(({ definition }) => serviceName(definition));
  const implementation: ServerReflectionServer = {
    serverReflectionInfo: call => {
      void answerAll(call, names);
    },
  };
  return { definition: ServerReflectionService, implementation };
}

function serviceName(definition: Service['definition']): string {
  return Object.values(definition)[0]!.path.split('/')[1]!;
}

async function answerAll(call: ServerDuplexStream<Request, Response>, names: string[]): Promise<void> {
  // Loaded for those who ask, who are few.
  const { describeFile, describeSymbol } = await import('./describe.js');
  call.on('data', (request: Request) => {
    const asked = request.messageRequest;
    let answer: Answer;
    if (asked?.$case === 'listServices') {
      answer = { $case: 'listServicesResponse', value: { service: names.map(name => ({ name })) } };
    } else if (asked?.$case === 'fileByFilename') {
      answer = files(describeFile(asked.value));
    } else if (asked?.$case === 'fileContainingSymbol') {
      answer = files(describeSymbol(asked.value));
    } else {
      answer = failure(status.UNIMPLEMENTED, 'There are no extensions');
    }
    call.write({ validHost: request.host, originalRequest: request, messageResponse: answer });
  });
  call.on('end', () => call.end());
}

function files(found: Buffer | undefined): Answer {
  if (found === undefined) return failure(status.NOT_FOUND, 'There is no such file or symbol');
  return { $case: 'fileDescriptorResponse', value: { fileDescriptorProto: [found] } };
}

function failure(code: status, message: string): Answer {
  return { $case: 'errorResponse', value: { errorCode: code, errorMessage: message } };
}
