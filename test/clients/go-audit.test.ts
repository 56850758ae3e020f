import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import type { LogReader, StoredCheckpoint } from '../../packages/server/src/domain/audit/log-reader.ts'
import { HistoryError } from '../../packages/server/src/domain/audit/log-reader.ts'
import { inclusionProof } from '../../packages/server/src/domain/audit/merkle.ts'
import {
  parseNote,
  parseVerifierKey,
  signersOf,
  verifierKey,
} from '../../packages/server/src/domain/audit/signed-note.ts'
import { formatProof, tileHashes } from '../../packages/server/src/domain/audit/tiles.ts'
import { exportLog } from '../../packages/server/src/publish/directory.ts'
import { witness } from '../../packages/server/src/publish/witness.ts'
import { eventOf, type MemoryLog, memoryLog } from '../support/audit-log.ts'
import { times } from '../support/deep.ts'
import { freePort } from '../support/ports.ts'
import { SECRET_KEY, testServer } from '../support/server.ts'
import { runProgram } from './steps.ts'

/**
 * Tools of others on our audit log: the note and tree libraries of Go and of transparency-dev (go-audit/main.go), and the
 * witness litewitness.
 */

const go = process.env.GO ?? 'go'
const source = fileURLToPath(new URL('go-audit', import.meta.url))
const usable = spawnSync(go, ['list', '-m'], { cwd: source }).status === 0
const skip = usable ? false : 'needs the Go version of go-audit/go.mod'
const hasAgent = ['ssh-agent', 'ssh-keygen', 'ssh-add'].every(
  each => spawnSync('sh', ['-c', `command -v ${each}`]).status === 0,
)
const folder = mkdtempSync(join(tmpdir(), 'stagedoor-go-audit-'))
after(() => rmSync(folder, { recursive: true, force: true }))

async function build(program: string, path: string): Promise<string> {
  const target = join(folder, program)
  const options = { cwd: source, env: { CGO_ENABLED: '0' } }
  const built = await runProgram(go, ['build', '-mod=readonly', '-o', target, path], options)
  assert.equal(built.code, 0, built.stderr)
  return target
}

describe('Go libraries', { skip }, () => {
  let program: string
  before(async () => {
    program = await build('audit', '.')
  })

  async function run(args: string[], env: Record<string, string> = {}) {
    const { code, stdout, stderr } = await runProgram(program, args, { env })
    return { code, stderr, counts: code === 0 ? JSON.parse(stdout) : undefined }
  }

  it('accept an exported log, its earlier checkpoints and a proof', async () => {
    const size = times(3000, 70_000)
    const log = memoryLog({ size, every: 500 })
    const directory = join(folder, 'exported')
    await exportLog(log, directory, { personal: true })
    const files = log.checkpointsNow.map(({ size, note }) => {
      const file = join(folder, `${size}.txt`)
      writeFileSync(file, note)
      return file
    })
    const newest = log.checkpointsNow[0]
    assert.ok(newest)
    const hashes = await inclusionProof(
      77,
      size,
      tileHashes(size, (level, n, width) => log.tile(level, n, width)),
    )
    const { text, personal } = eventOf(77)
    const proof = formatProof({ index: 77, hashes, checkpoint: newest.note, extra: personal ?? undefined })
    writeFileSync(join(folder, 'e.tlog-proof'), proof)
    writeFileSync(join(folder, 'e.json'), text)
    const proved = ['-proof', join(folder, 'e.tlog-proof'), '-event', join(folder, 'e.json')]
    const { counts, stderr } = await run(['-directory', directory, '-key', log.vkey, ...proved, ...files])
    assert.deepEqual(counts, { entries: size, inclusions: 100, prefixes: files.length, proofs: 1 }, stderr)
    writeFileSync(join(folder, 'e.json'), eventOf(78).text)
    assert.match((await run(['-directory', directory, '-key', log.vkey, ...proved])).stderr, /calculated root/)
    const other = memoryLog({ size: 10, every: 10 })
    assert.notEqual((await run(['-directory', directory, '-key', other.vkey])).code, 0)
  })

  it('accept a running server', async () => {
    await using server = await testServer({ realTime: true })
    const url = await server.listen()
    for (let i = 0; i < 20; i++) await server.createUser()
    const { store } = server.stagedoor.services
    const [, vkey] = await until(async () => {
      const state = await store.auditLog.state()
      const isSigned = state && state.size >= 20 && state.checkpoint_size === state.size
      return isSigned && [state.size, await vkeyOf(server)]
    })
    const { counts, stderr } = await run(['-prefix', `${url}/v1/audit`, '-key', String(vkey)], {
      STAGEDOOR_SECRET_KEY: SECRET_KEY,
    })
    assert.ok(counts?.entries >= 20 && counts.inclusions === counts.entries, stderr)
  })
})

async function vkeyOf(server: Awaited<ReturnType<typeof testServer>>): Promise<string> {
  const [key] = (await server.call('GET', '/v1/audit/keys')).body.data
  return key.vkey
}

async function until<T>(ready: () => Promise<T | false | undefined>): Promise<T> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const found = await ready()
    if (found) return found
    await sleep(100)
  }
  throw new Error('this took too long')
}

describe('litewitness', { skip: skip || (hasAgent ? false : 'needs ssh-agent, ssh-keygen and ssh-add') }, () => {
  const NAME = 'witness.test/w1'
  const processes: ChildProcess[] = []
  let program: string
  let socket: string
  let fingerprint: string
  let vkey: string
  before(async () => {
    program = await build('litewitness', 'filippo.io/torchwood/cmd/litewitness')
    const key = join(folder, 'key')
    await done('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    socket = join(folder, 'agent')
    processes.push(spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' }))
    const env = { SSH_AUTH_SOCK: socket }
    await until(async () => (await runProgram('ssh-add', [key], { env })).code === 0)
    fingerprint = (await done('ssh-keygen', ['-lf', `${key}.pub`])).split(' ')[1] ?? ''
    const blob = Buffer.from((await done('cat', [`${key}.pub`])).split(' ')[1] ?? '', 'base64')
    vkey = verifierKey(NAME, blob.subarray(-32), 'cosignature')
  })
  after(async () => {
    for (const child of processes) {
      child.kill()
      if (child.exitCode === null && child.signalCode === null)
        await new Promise(resolve => child.once('close', resolve))
    }
  })

  async function done(command: string, args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runProgram(command, args)
    assert.equal(code, 0, stderr)
    return stdout
  }

  /** Starts a witness that knows this log. @returns its URL */
  async function startWitness(log: MemoryLog): Promise<string> {
    const port = await freePort()
    const path = join(folder, `witness-${port}.db`)
    const listen = ['-listen', `127.0.0.1:${port}`, '-key', fingerprint, '-ssh-agent', socket]
    processes.push(spawn(program, ['-db', path, '-name', NAME, ...listen], { stdio: 'ignore' }))
    const url = `http://127.0.0.1:${port}`
    await until(() =>
      fetch(url).then(
        () => true,
        () => false,
      ),
    )
    const database = new Database(path)
    const empty = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    database.prepare('insert into log (origin, tree_size, tree_hash) values (?, 0, ?)').run(log.origin, empty)
    database.prepare('insert into key (origin, key) values (?, ?)').run(log.origin, log.vkey)
    database.close()
    return url
  }

  function newestOf(log: MemoryLog): StoredCheckpoint {
    const [newest] = log.checkpointsNow
    assert.ok(newest)
    return newest
  }

  it('cosigns each step, also after a restart of the server, and refuses forks and rollbacks', async () => {
    const log = memoryLog({ size: 100, every: 100 })
    const url = await startWitness(log)
    const key = parseVerifierKey(vkey)
    let holder = witness({ vkey, url })
    const steps = times(20, 1000)
    for (let step = 0; step <= steps; step++) {
      if (step > 0) {
        log.append(eventOf(100 + step))
        log.sign()
      }
      // A new process does not know what the witness has.
      if (step === 10) holder = witness({ vkey, url })
      const newest = newestOf(log)
      const line = await holder.hold(log, newest)
      assert.equal(signersOf(parseNote(newest.note + line), [key]).length, 1)
      newest.cosignatures = line ?? ''
      assert.equal(await holder.hold(log, newest), undefined)
    }
    for (let fork = 0; fork < times(3, 100); fork++) {
      const forked = memoryLog({ entries: [...log.entriesNow], every: 100, keys: log })
      forked.forge(entries => entries.splice(fork, 1, eventOf(9000)))
      forked.append(eventOf(9001))
      forked.sign()
      await assert.rejects(holder.hold(forked, newestOf(forked)), HistoryError)
      await assert.rejects(witness({ vkey, url }).hold(forked, newestOf(forked)), HistoryError)
    }
    const rolledBack: LogReader & MemoryLog = memoryLog({ size: 50, every: 50, keys: log })
    await assert.rejects(holder.hold(rolledBack, newestOf(rolledBack)), HistoryError)
    await assert.rejects(witness({ vkey, url }).hold(rolledBack, newestOf(rolledBack)), /rolled back/)
  })
})
