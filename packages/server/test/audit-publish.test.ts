import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { eventOf, type MemoryLog, memoryLog } from '../../../test/support/audit-log.ts'
import type { StoredCheckpoint } from '../src/domain/audit/log-reader.ts'
import { HistoryError } from '../src/domain/audit/log-reader.ts'
import { type CheckpointHolder, Publisher } from '../src/domain/audit/publish.ts'
import { cosignatureLine, parseCheckpoint, parseNote, verifierKey } from '../src/domain/audit/signed-note.ts'
import { checkpointFile } from '../src/publish/checkpoint-file.ts'
import { logDirectory } from '../src/publish/log-directory.ts'
import { witness } from '../src/publish/witness.ts'

const folder = mkdtempSync(join(tmpdir(), 'stagedoor-publish-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function publisherOf(log: MemoryLog, holders: CheckpointHolder[]) {
  const problems: string[] = []
  const publisher = new Publisher({
    reader: log,
    holders,
    async setCosignatures(size, lines) {
      const row = log.checkpointsNow.find(each => each.size === size)
      if (row) row.cosignatures = lines
    },
    onTampered: reason => problems.push(`tampered: ${reason}`),
    onFailure: (holder, error) => problems.push(`${holder}: ${(error as Error).message}`),
  })
  const round = async () => {
    await publisher.tick()
    await publisher.idle()
    return problems.splice(0)
  }
  return { publisher, round }
}

const newestOf = (log: MemoryLog): StoredCheckpoint => {
  const [newest] = log.checkpointsNow
  assert.ok(newest)
  return newest
}

describe('the checkpoint file', () => {
  it('follows the log, and finds another history at start and later', async () => {
    const path = join(folder, 'checkpoint')
    const log = memoryLog({ size: 300, every: 300 })
    const { publisher, round } = publisherOf(log, [checkpointFile(path)])
    await publisher.check()
    assert.deepEqual(await round(), [])
    assert.equal(readFileSync(path, 'utf8'), newestOf(log).note)
    log.append(eventOf(300))
    log.sign()
    assert.deepEqual(await round(), [])
    assert.equal(parseCheckpoint(readFileSync(path, 'utf8')).size, 301)

    for (const change of [
      (entries: object[]) => entries.splice(200),
      (entries: object[]) => entries.splice(5, 1, eventOf(9000)),
    ]) {
      const other = memoryLog({ entries: [...log.entriesNow], every: 300, keys: log })
      other.forge(change)
      other.checkpointsNow = other.checkpointsNow.slice(0, 1)
      const restarted = publisherOf(other, [checkpointFile(path)])
      await assert.rejects(restarted.publisher.check(), HistoryError)
      assert.match((await restarted.round())[0] ?? '', /^tampered: .*(rolled back|was changed)/)
      assert.equal(parseCheckpoint(readFileSync(path, 'utf8')).size, 301, 'the file is kept')
    }
    // Another database, which has no checkpoint yet.
    const unsigned = memoryLog({ size: 3, every: 3 })
    unsigned.checkpointsNow = []
    const replaced = publisherOf(unsigned, [checkpointFile(path)])
    await assert.rejects(replaced.publisher.check(), /entries 0\.\. are gone: .*301 entries/)
  })

  it('reports a file that cannot be written or read, and tries again', async () => {
    const log = memoryLog({ size: 3, every: 3 })
    const { round } = publisherOf(log, [checkpointFile(join(folder, 'no/such/folder'))])
    assert.match((await round())[0] ?? '', /ENOENT/)
    assert.match((await round())[0] ?? '', /ENOENT/)
    const path = join(folder, 'damaged')
    writeFileSync(path, 'nonsense')
    assert.match((await publisherOf(log, [checkpointFile(path)]).round())[0] ?? '', /checkpoint has three lines/)
  })
})

describe('the directory', () => {
  it('follows the log without personal texts, and refuses another history', async () => {
    const path = join(folder, 'directory')
    const sizes: number[] = []
    const log = memoryLog({ size: 300, every: 300 })
    const { round } = publisherOf(log, [logDirectory(path, size => sizes.push(size))])
    assert.deepEqual(await round(), [])
    log.append(eventOf(300))
    log.sign()
    assert.deepEqual(await round(), [])
    assert.deepEqual(sizes, [300, 301])
    assert.ok(!existsSync(join(path, 'personal')))
    const other = memoryLog({ entries: [...log.entriesNow], every: 300, keys: log })
    other.forge(entries => entries.splice(5, 1, eventOf(9000)))
    const restarted = publisherOf(other, [logDirectory(path)])
    await assert.rejects(restarted.publisher.check(), HistoryError)
    assert.match((await restarted.round())[0] ?? '', /^tampered: /)
    other.checkpointsNow = []
    const replaced = publisherOf(other, [logDirectory(path)])
    await assert.rejects(replaced.publisher.check(), HistoryError)
  })
})

describe('witnesses', () => {
  const keys = generateKeyPairSync('ed25519')
  const NAME = 'witness.test/w1'
  const vkey = verifierKey(NAME, keys.publicKey, 'cosignature')

  /** A witness that answers what a test wants. */
  async function answering(answer: (body: string) => { status: number; text: string }) {
    const server: Server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      const { status, text } = answer(body)
      response.writeHead(status).end(text)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return { url, [Symbol.dispose]: () => server.close() }
  }
  const sign = (log: MemoryLog, key = keys.privateKey) =>
    cosignatureLine(parseNote(newestOf(log).note).text, NAME, key, 1_767_225_600)

  it('get each checkpoint with a proof, and their signature is stored once', async () => {
    const log = memoryLog({ size: 5, every: 5 })
    const bodies: string[] = []
    using server = await answering(body => {
      bodies.push(body)
      return { status: 200, text: sign(log) }
    })
    const { round } = publisherOf(log, [witness({ vkey, url: server.url })])
    assert.deepEqual(await round(), [])
    assert.equal(newestOf(log).cosignatures, sign(log))
    assert.deepEqual(await round(), [])
    log.append(eventOf(5))
    log.sign()
    assert.deepEqual(await round(), [])
    assert.deepEqual(
      bodies.map(body => body.split('\n')[0]),
      ['old 0', 'old 5'],
    )
    assert.ok(bodies[1]?.endsWith(`\n\n${newestOf(log).note}`))
  })

  it('cannot store a signature that is not theirs, and their failures do not stop the others', async () => {
    const log = memoryLog({ size: 5, every: 5 })
    const other = generateKeyPairSync('ed25519')
    for (const [status, text, expected] of [
      [200, sign(log, other.privateKey), /no signature of its key/],
      [200, '', /signed note/],
      [200, 'x'.repeat(20_000), /too long/],
      [404, 'unknown log', /answered 404: unknown log/],
      [409, 'many', /no number/],
      [500, '', /answered 500/],
    ] as const) {
      using server = await answering(() => ({ status, text }))
      const path = join(folder, `with-${status}-${text.length}`)
      const { round } = publisherOf(log, [witness({ vkey, url: server.url }), checkpointFile(path)])
      const [problem, ...more] = await round()
      assert.match(problem ?? '', expected)
      assert.deepEqual([more, existsSync(path), newestOf(log).cosignatures], [[], true, ''])
    }
  })

  it('get a proof from the size that they name, and report a log that was rolled back or forked', async () => {
    const log = memoryLog({ size: 5, every: 5 })
    let known = 3
    using server = await answering(body =>
      body.startsWith(`old ${known}\n`) ? { status: 200, text: sign(log) } : { status: 409, text: `${known}\n` },
    )
    assert.deepEqual(await publisherOf(log, [witness({ vkey, url: server.url })]).round(), [])
    log.append(eventOf(5))
    log.sign()
    known = 9
    assert.match(
      (await publisherOf(log, [witness({ vkey, url: server.url })]).round())[0] ?? '',
      /^tampered: entries 6\.\. are gone: the log was rolled back \(the witness witness.test\/w1 signed 9 entries\)/,
    )
    using forked = await answering(() => ({ status: 422, text: '' }))
    const [problem] = await publisherOf(log, [witness({ vkey, url: forked.url })]).round()
    assert.match(problem ?? '', /^tampered: the witness witness.test\/w1 signed another history/)
  })
})
