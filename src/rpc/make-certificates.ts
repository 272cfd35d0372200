import { randomBytes, X509Certificate } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';
import { checkStreamName } from '../image/name.js';
import { makeDirectory } from '../store/make-directory.js';
import { runTool } from '../volume/tool.js';
import { REPLICATOR_NAME, uploadName } from './rights.js';
import { roleName } from './role.js';

/** What a set of certificates is made for. */
export interface CertificateSet {
  directory: string;
  /** Names and addresses of the machine that serves. */
  hosts: readonly string[];
  /** How long all of them are valid. */
  days: number;
  /** The streams below which the uploader may send images to an image server; none of them: any. */
  uploads?: readonly string[];
}

/** The names that give those who may do less what they may, each in a directory of its own. */
function lesserNames(uploads: readonly string[]): Record<string, readonly string[]> {
  return {
    publisher: [roleName('publisher')],
    reader: [roleName('reader')],
    replicator: [REPLICATOR_NAME],
    uploader: uploads.length === 0 ? [uploadName()] : uploads.map(uploadName),
  };
}

/** Nothing that the system's own configuration would add. */
const OPENSSL_CONFIGURATION = '[req]\ndistinguished_name = name\n[name]\n';

/**
 * Makes a set of certificates with an authority of its own, all at once or not at all:
 *
 *   DIR/ca.pem cert.pem key.pem         for the machine that serves, and for its administrator
 *   DIR/ca-key.pem                      the authority's key; whoever has it can make more
 *   DIR/publisher DIR/reader
 *   DIR/replicator DIR/uploader         ca.pem, cert.pem and key.pem for who may do that (rights.ts)
 *
 * Throws `IMAGE_NAME` for uploads to what is no stream, `OUTPUT` when DIR is there and not empty, `TOOL_MISSING` without openssl, `CANCELLED`.
 */
export async function makeCertificates(
  set: CertificateSet,
  signal?: AbortSignal,
): Promise<{ expiresAt: string }> {
  const { uploads = [] } = set;
  for (const stream of uploads) checkStreamName(stream);
  const target = resolve(set.directory);
  const work = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}`);
  try {
    await makeDirectory(work, 0o700);
    const authority = new Authority(work, set.days, signal);
    await authority.make();
    const names = set.hosts.map(host => `${isIP(host) === 0 ? 'DNS' : 'IP'}:${host}`);
    await authority.issue(work, 'image-unpacker server', [...names, `URI:${roleName('admin')}`], true);
    for (const [who, given] of Object.entries(lesserNames(uploads))) {
      const directory = join(work, who);
      await mkdir(directory, { mode: 0o700 });
      const uris = given.map(name => `URI:${name}`);
      await authority.issue(directory, `image-unpacker ${who}`, uris, false);
      await copyFile(join(work, 'ca.pem'), join(directory, 'ca.pem'));
    }
    await rm(authority.configuration);
    await publish(work, target);
    const { validTo } = new X509Certificate(await readFile(join(target, 'cert.pem')));
    return { expiresAt: new Date(validTo).toISOString() };
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot make certificates in ${target}`, { path: target });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** How a rename fails where there is something else. */
const TAKEN = new Set(['ENOTEMPTY', 'EEXIST', 'ENOTDIR']);

async function publish(work: string, target: string): Promise<void> {
  await rename(work, target).catch((reason: unknown) => {
    if (!TAKEN.has((reason as NodeJS.ErrnoException).code ?? '')) throw reason;
    const message = `${target} is there already and is not empty; name another directory`;
    throw new ImageUnpackerError('OUTPUT', message, { path: target }, reason);
  });
}

class Authority {
  readonly configuration: string;
  readonly #directory: string;
  readonly #days: number;
  readonly #signal: AbortSignal | undefined;

  constructor(directory: string, days: number, signal: AbortSignal | undefined) {
    this.configuration = join(directory, 'openssl.cnf');
    this.#directory = directory;
    this.#days = days;
    this.#signal = signal;
  }

  async make(): Promise<void> {
    await writeFile(this.configuration, OPENSSL_CONFIGURATION);
    const extensions = [
      'basicConstraints=critical,CA:TRUE,pathlen:0',
      'keyUsage=critical,keyCertSign,cRLSign',
    ];
    await this.#request('image-unpacker authority', extensions, [], {
      key: join(this.#directory, 'ca-key.pem'),
      certificate: join(this.#directory, 'ca.pem'),
    });
  }

  async issue(directory: string, name: string, names: readonly string[], serves: boolean): Promise<void> {
    const extensions = [
      'basicConstraints=critical,CA:FALSE',
      'keyUsage=critical,digitalSignature',
      `extendedKeyUsage=${serves ? 'serverAuth,clientAuth' : 'clientAuth'}`,
      `subjectAltName=${names.join(',')}`,
    ];
    const signer = ['-CA', join(this.#directory, 'ca.pem'), '-CAkey', join(this.#directory, 'ca-key.pem')];
    await this.#request(name, extensions, signer, {
      key: join(directory, 'key.pem'),
      certificate: join(directory, 'cert.pem'),
    });
  }

  async #request(
    name: string,
    extensions: readonly string[],
    signer: readonly string[],
    out: { key: string; certificate: string },
  ): Promise<void> {
    const parameters = ['req', '-x509', '-config', this.configuration, '-subj', `/CN=${name}`, ...signer];
    parameters.push('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-sha256');
    parameters.push('-days', String(this.#days), ...extensions.flatMap(each => ['-addext', each]));
    parameters.push('-keyout', out.key, '-out', out.certificate);
    const { status, output } = await runTool('openssl', parameters, this.#signal);
    if (status !== 0) throw new ImageUnpackerError('TOOL_FAILED', `openssl failed: ${output}`);
    await chmod(out.key, 0o600);
  }
}
