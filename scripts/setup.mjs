// Makes a fresh clone ready, then runs a TypeScript file on the right Node.
//
//   node scripts/setup.mjs                    install what is missing
//   node scripts/setup.mjs run FILE [ARG...]  the same, then run FILE
//
// Plain JavaScript for Node 18 and later: it starts before anything is installed, on whatever Node the machine has.
// The Node that runs Stagedoor itself comes from npm (see "optionalDependencies" in package.json).
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const OLDEST_NODE = [22, 18]

/** What decides whether node_modules is current: the lock file and every package.json it was made from. */
function fingerprint() {
  const hash = createHash('sha256')
  for (const file of [
    'package-lock.json',
    'package.json',
    'packages/server/package.json',
    'packages/sdk/package.json',
  ]) {
    hash.update(file).update(readFileSync(join(root, file)))
  }
  return hash.digest('hex')
}

function install() {
  const stamp = join(root, 'node_modules', '.stagedoor-setup')
  const wanted = fingerprint()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  console.error('Setting up: installing dependencies (about a minute, once)…')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const done = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (done.error || done.status !== 0) {
    console.error(`Set-up failed: \`npm ci\` ${done.error ? done.error.message : `ended with code ${done.status}`}.`)
    console.error('Check that npm can reach its registry, then run the command again.')
    process.exit(1)
  }
  writeFileSync(stamp, wanted)
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
  const child = spawn(findNode(), [join(root, file), ...args], { stdio: 'inherit' })
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

install()
const [command, file, ...args] = process.argv.slice(2)
if (command === 'run') run(file, args)
else console.error('Ready. `npm start` starts Stagedoor; `npm test` runs every test.')
