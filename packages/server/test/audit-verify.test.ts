import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventOf, type MemoryLog, memoryLog } from '../../../test/support/audit-log.ts'
import { HistoryError } from '../src/domain/audit/log-reader.ts'
import { cosignatureLine, parseNote, verifierKey } from '../src/domain/audit/signed-note.ts'
import { type VerifyOptions, verifyLog } from '../src/domain/audit/verify.ts'
import { exportLog, openDirectory } from '../src/publish/directory.ts'

const SIZE = 1000
const fresh = () => memoryLog({ size: SIZE, every: 100 })

/** Verifies, and returns the result with the messages. */
async function verified(log: MemoryLog, options: Partial<VerifyOptions> = {}) {
  const { findings, ...result } = await verifyLog(log, { personal: true, ...options })
  return { ...result, messages: findings.map(({ message }) => message) }
}

async function messages(log: MemoryLog, options: Partial<VerifyOptions> = {}) {
  const { result, messages } = await verified(log, options)
  assert.equal(result, 'tampered')
  return messages
}

/** Returns all checkpoints of a log, as if they had been kept elsewhere. */
const kept = (log: MemoryLog) => log.checkpointsNow.map(({ size, note }) => ({ name: `kept-${size}.txt`, note }))

describe('verification of a log', () => {
  it('proves an unchanged log', async () => {
    const log = fresh()
    log.append(eventOf(SIZE))
    const result = await verified(log, { checkpoints: kept(log).slice(0, 3) })
    assert.deepEqual(
      [result.result, result.size, result.signed_size, result.checkpoints, result.personal, result.found],
      ['proved', SIZE + 1, SIZE, 13, { checked: SIZE + 1, erased: 0 }, 0],
    )
    assert.deepEqual((await verified(memoryLog())).result, 'proved')
  })

  it('names a changed entry', async () => {
    for (const index of [0, 255, 256, 511, 999]) {
      const log = fresh()
      log.entriesNow[index] = eventOf(index, { action: 'user.create' })
      const at = new Date(1_767_225_600_000 + index * 1000).toISOString()
      const id = `evt_${String(index).padStart(26, '0')}`
      assert.deepEqual(await messages(log), [`entry ${index} (${id}, ${at}) was changed`])
    }
  })

  it('names the interval between two checkpoints in which the owner of the key changed something', async () => {
    const changes: ((entries: { text: string; personal: string | null }[]) => void)[] = [
      entries => entries.splice(450, 1, eventOf(5000)),
      entries => entries.splice(450, 1),
      entries => entries.splice(450, 0, eventOf(5000)),
      entries => entries.splice(450, 2, ...entries.slice(450, 452).reverse()),
    ]
    for (const change of changes) {
      const log = fresh()
      const checkpoints = kept(log)
      log.forge(change)
      const [first, ...rest] = await messages(log, { checkpoints })
      if (first?.startsWith('entries 999')) continue
      assert.deepEqual(
        [first, rest],
        [
          'something in entries 400..499 was changed, deleted, inserted or moved: the log does not match kept-500.txt',
          [],
        ],
      )
    }
  })

  it('finds a log that was rolled back', async () => {
    const log = fresh()
    const checkpoints = kept(log).slice(0, 1)
    log.forge(entries => entries.splice(700))
    log.checkpointsNow = log.checkpointsNow.filter(({ size }) => size <= 700)
    assert.deepEqual(await messages(log, { checkpoints }), [
      'entries 700.. are gone: the log was rolled back (kept-1000.txt has 1000)',
    ])
  })

  it('finds changed and foreign checkpoints', async () => {
    const log = fresh()
    const [newest] = log.checkpointsNow
    assert.ok(newest)
    newest.note = newest.note.replace('\n1000\n', '\n1001\n')
    const [message] = await messages(log)
    assert.match(message ?? '', /^the stored checkpoint of 1000 entries was changed, or is not of this log/)
    const row = fresh()
    assert.ok(row.checkpointsNow[3])
    row.checkpointsNow[3].root = row.checkpointsNow[4]?.root ?? ''
    assert.deepEqual(await messages(row), [
      'the stored checkpoint of 700 entries was changed: its size or root is not what was signed',
    ])
    const other = memoryLog({ size: 10, every: 10, origin: log.origin })
    assert.match(
      (await messages(fresh(), { checkpoints: kept(other) }))[0] ?? '',
      /^kept-10.txt was changed, or is not/,
    )
  })

  it('names each check that was not possible', async () => {
    const log = fresh()
    const reasons = async (options: Partial<VerifyOptions>) => {
      const { result, messages } = await verified(log, options)
      return [result, ...messages]
    }
    assert.deepEqual(await reasons({ keys: [] }), [
      'unchecked',
      'no key of the log is known: give it as --key',
      'no checkpoint with a valid signature covers any entry',
    ])
    const witness = generateKeyPairSync('ed25519')
    const witnesses = [verifierKey('witness.test/w1', witness.publicKey, 'cosignature')]
    assert.deepEqual(await reasons({ witnesses }), [
      'unchecked',
      'no checkpoint that the log matches has cosignatures of 1 of the witnesses',
    ])
    const row = log.checkpointsNow[2]
    assert.ok(row)
    row.cosignatures = cosignatureLine(parseNote(row.note).text, 'witness.test/w1', witness.privateKey, 1)
    assert.deepEqual(
      [(await verified(log, { witnesses })).result, (await verified(log, { witnesses })).witnessed_size],
      ['proved', 800],
    )
  })

  it('checks personal texts, and accepts erased ones only after an erasure', async () => {
    const log = fresh()
    const entry = log.entriesNow[15]
    assert.ok(entry)
    log.entriesNow[15] = { ...entry, personal: entry.personal?.replace('ticket', 'wicket') ?? null }
    log.entriesNow[22] = { text: log.entriesNow[22]?.text ?? '', personal: null }
    const name = (n: number) => `evt_${String(n).padStart(26, '0')}`
    assert.deepEqual(await messages(log), [
      `personal part of ${name(15)} was changed`,
      `personal part of ${name(22)} was removed without an erasure`,
    ])
    const erase = (filter: object, up_to_index: number) =>
      eventOf(SIZE, { action: 'audit.erase', details: { filter, up_to_index, count: 1 } })
    for (const [filter, upTo, isCovered] of [
      [{ user_id: 'user_0' }, SIZE, true],
      [{ actor_sub: 'actor_1' }, SIZE, true],
      [{ event_ids: [name(22)] }, 23, true],
      [{ event_ids: [name(22)] }, 22, false],
      [{ user_id: 'user_1' }, SIZE, false],
    ] as const) {
      const erased = fresh()
      erased.entriesNow[22] = { text: erased.entriesNow[22]?.text ?? '', personal: null }
      erased.append(erase(filter, upTo))
      erased.sign()
      const { result, personal } = await verified(erased)
      assert.deepEqual([result, personal.erased], isCovered ? ['proved', 1] : ['tampered', 0])
    }
    // An erasure covers only events before it.
    const later = fresh()
    later.append(erase({ user_id: 'user_0' }, 5000))
    later.append({ ...eventOf(1001), personal: null })
    later.sign()
    assert.equal((await verified(later)).result, 'tampered')
  })
})

describe('an exported directory', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stagedoor-audit-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const check = async (directory: string, log: MemoryLog, checkpoints = kept(log)) => {
    const reader = await openDirectory(directory)
    return verifyLog(reader, { personal: reader.hasPersonal, keys: [log.vkey], checkpoints })
  }
  const files = async (directory: string) =>
    (await readdir(directory, { recursive: true, withFileTypes: true }))
      .filter(each => each.isFile())
      .map(each => join(each.parentPath, each.name).slice(directory.length + 1))
      .sort()

  it('grows with the log and has no file of an earlier state', async () => {
    const directory = join(folder, 'grows')
    const log = memoryLog({ size: 70, every: 70 })
    for (const size of [70, 71, 255, 256, 300, 600, 600]) {
      while (log.entriesNow.length < size) log.append(eventOf(log.entriesNow.length))
      log.sign()
      await exportLog(log, directory, { personal: true })
      const { result, findings, personal } = await check(directory, log)
      assert.deepEqual([result, findings, personal.checked], ['proved', [], size])
    }
    const bundles = ['000', '001', '002.p/88']
    assert.deepEqual(
      await files(directory),
      [
        'checkpoint',
        ...bundles.map(each => `tile/0/${each}`),
        'tile/1/000.p/2',
        ...bundles.map(each => `tile/entries/${each}`),
        ...bundles.map(each => `personal/${each}.jsonl`),
      ].sort(),
    )
  })

  it('is continued after an interruption, and refuses another history', async () => {
    const directory = join(folder, 'continues')
    const log = memoryLog({ size: 900, every: 300 })
    let reads = 0
    const broken = {
      ...log,
      entries: (from: number, to: number) => (++reads > 2 ? Promise.reject(new Error('cut')) : log.entries(from, to)),
    }
    await assert.rejects(exportLog(broken, directory, { personal: false }), /cut/)
    await assert.rejects(readFile(join(directory, 'checkpoint')), { code: 'ENOENT' })
    assert.deepEqual(await exportLog(log, directory, { personal: false }), { size: 900, before: 0 })
    assert.equal((await check(directory, log)).result, 'proved')
    await assert.rejects(exportLog(log, directory, { personal: true }), /without personal texts/)
    const rolledBack = memoryLog({ size: 600, every: 300 })
    await assert.rejects(exportLog(rolledBack, directory, { personal: false }), HistoryError)
    const forged = memoryLog({ size: 900, every: 300 })
    forged.forge(entries => entries.splice(10, 1, eventOf(5000)))
    await assert.rejects(exportLog(forged, directory, { personal: false }), HistoryError)
    const other = memoryLog({ size: 900, every: 300, origin: 'other.test/audit/ins_2' })
    await assert.rejects(exportLog(other, directory, { personal: false }), HistoryError)
    await assert.rejects(openDirectory(join(folder, 'nothing')), /has no exported audit log/)
    const wrong = memoryLog({ size: 300, every: 300 })
    wrong.entriesNow[7] = eventOf(5000)
    await assert.rejects(exportLog(wrong, join(folder, 'wrong'), { personal: false }), /do not match their hashes/)
  })

  it('shows which file was changed or lost', async () => {
    const directory = join(folder, 'lost')
    const log = memoryLog({ size: 700, every: 100 })
    await exportLog(log, directory, { personal: true })
    const found = async (path: string, change: (bytes: Buffer) => Buffer | undefined) => {
      const bytes = await readFile(join(directory, path))
      const changed = change(Buffer.from(bytes))
      if (changed) await writeFile(join(directory, path), changed)
      else await rm(join(directory, path))
      const { findings, result } = await check(directory, log)
      await writeFile(join(directory, path), bytes)
      assert.equal(result, 'tampered', path)
      return findings[0]?.message
    }
    const lose = () => undefined
    const flip = (at: number) => (bytes: Buffer) => {
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      return bytes
    }
    assert.equal(await found('tile/entries/001', lose), 'entries 256..511 are gone')
    assert.equal(await found('tile/0/001', lose), 'tile/0/001 is gone')
    assert.equal(await found('tile/1/000.p/2', lose), 'tile/1/000.p/2 is gone')
    assert.equal(await found('checkpoint', lose), 'the file checkpoint is gone')
    assert.match((await found('personal/000.jsonl', lose)) ?? '', /^personal part of evt_0+ was removed without/)
    assert.equal(await found('tile/0/001', flip(100)), 'tile/0/001 was changed')
    assert.equal(await found('tile/0/002.p/188', flip(100)), 'tile/0/002.p/188 was changed')
    assert.equal(await found('tile/1/000.p/2', flip(3)), 'tile/1/000.p/2 was changed')
    assert.match((await found('tile/entries/000', flip(40))) ?? '', /^entry 0 .*was changed/)
    assert.match((await found('tile/entries/002.p/188', flip(40))) ?? '', /^entry 512 .*was changed/)
    assert.match((await found('personal/001.jsonl', flip(40))) ?? '', /^personal part of evt_0+256 was changed/)
    assert.match((await found('checkpoint', flip(3))) ?? '', /was changed/)
    assert.match((await found('tile/0/001', bytes => bytes.subarray(1))) ?? '', /does not have 256 hashes/)
    assert.match((await found('tile/entries/001', bytes => bytes.subarray(1))) ?? '', /^entries 256..511 were changed/)
  })
})
