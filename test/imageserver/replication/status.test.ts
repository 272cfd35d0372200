import test from 'ava';
import { ImageUnpackerError } from '../../../src/image/error.js';
import { StatusOfReplication } from '../../../src/imageserver/replication/status.js';

test('how far a replica is follows from what it was told', t => {
  const status = new StatusOfReplication('a:1', () => 0);
  const shown = (): unknown[] => {
    const { state, imagesBehind, lastError, followedAt } = status.current;
    return [state, imagesBehind, lastError?.code, followedAt];
  };
  t.deepEqual(shown(), ['connecting', 0, undefined, undefined]);
  status.add({ kind: 'behind', images: 2 });
  status.add({ kind: 'changed', image: 's/a' });
  t.deepEqual(shown(), ['catching up', 1, undefined, undefined]);
  const error = new ImageUnpackerError('TIMEOUT', 'It does not answer');
  status.add({ kind: 'failed', error, retryInSeconds: 1 });
  t.deepEqual(shown(), ['connecting', 1, 'TIMEOUT', undefined]);
  status.add({ kind: 'caught-up' });
  t.deepEqual(shown(), ['following', 0, undefined, '1970-01-01T00:00:00.000Z']);
  status.add({ kind: 'refused', what: 's/a', error });
  t.deepEqual(shown(), ['catching up', 0, 'TIMEOUT', '1970-01-01T00:00:00.000Z']);
});
