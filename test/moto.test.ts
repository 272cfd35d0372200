import { startMoto, withMoto } from './moto.js';

withMoto('starting moto_server')('moto_server is started, answers, and is ended', async t => {
  const moto = await startMoto();
  t.true((await fetch(`${moto.endpoint}/moto-api/data.json`)).ok);
  await moto.stop();
  await t.throwsAsync(fetch(moto.endpoint));
});
