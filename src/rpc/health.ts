import type { ServerWritableStream } from '@grpc/grpc-js';
import type { HealthCheckRequest, HealthServer } from './gen/grpc/health/v1/health.js';
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthService,
  type HealthCheckResponse,
} from './gen/grpc/health/v1/health.js';
import type { Service } from './server.js';

type Watcher = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

/** The health service: a server is serving from its start until it is told to stop, all services alike. */
export class Health {
  readonly #watchers = new Set<Watcher>();
  #serving = true;

  service(): Service {
    const implementation: HealthServer = {
      check: (_call, answer) => {
        answer(null, this.#answer());
      },
      watch: call => {
        call.write(this.#answer());
        this.#watchers.add(call);
        call.once('cancelled', () => this.#watchers.delete(call));
      },
    };
    return { definition: HealthService, implementation };
  }

  /** Tells who watches, and ends their calls. */
  stop(): void {
    this.#serving = false;
    for (const watcher of this.#watchers) {
      watcher.write(this.#answer());
      watcher.end();
    }
    this.#watchers.clear();
  }

  #answer(): HealthCheckResponse {
    return { status: this.#serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING };
  }
}
