import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { AgentState, type StreamRecord } from '../../src/unpacker/agent-state.js';

test('what an agent remembers is there the next time, and nothing is made of what is damaged', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'agent-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  const state = await AgentState.read(directory);
  const base = { lastUsed: null, error: { code: 'NO_SPACE', message: 'full' } };
  const records: StreamRecord[] = [
    { ...base, stream: 'a', volume: { kind: 'file', path: '/v/a', made: true } },
    { ...base, stream: 'b', volume: { kind: 'device', id: { kind: 'serial', name: 'vol0' }, size: 2 ** 40 } },
    { ...base, stream: 'c', volume: { kind: 'file', path: '/v/c', made: false } },
  ];
  await Promise.all(records.map(record => state.put(record)));
  await state.remove('c');
  t.deepEqual((await AgentState.read(directory)).streams(), records.slice(0, 2));
  const file = join(directory, 'agent');
  const bytes = readFileSync(file);
  for (let at = 0; at < bytes.length; at += 13) {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 0x04;
    writeFileSync(file, damaged);
    await t.throwsAsync(AgentState.read(directory), {
      code: 'STATE_DAMAGED',
      message: /pin the streams again/,
    });
  }
});
