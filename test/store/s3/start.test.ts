import { execFileSync } from 'node:child_process';
import test from 'ava';

/** Whether anything of the AWS SDK is loaded once these modules are. */
function loadsAws(...modules: string[]): boolean {
  const script = `
    import { createRequire } from 'node:module';
    for (const each of ${JSON.stringify(modules)}) await import(each);
    const loaded = Object.keys(createRequire(import.meta.url).cache);
    console.log(loaded.some(file => file.includes('@aws-sdk')));
  `;
  const parameters = ['--import=tsx', '--input-type=module', '--eval', script];
  return execFileSync(process.execPath, parameters, { encoding: 'utf8' }).trim() === 'true';
}

test('the agent, its workers and the commands load nothing of Amazon until a store on S3 is opened', t => {
  const programs = ['imagetool', 'image-unpacker'].map(name => `./src/cli/${name}/program.ts`);
  const work = [
    './src/cli/image-unpacker/run-agent.ts',
    './src/unpacker/unpack-work.ts',
    './src/store/open.ts',
  ];
  t.false(loadsAws(...programs, ...work, './src/store/local/store.ts'));
  t.true(loadsAws('./src/store/s3/open.ts'));
});
