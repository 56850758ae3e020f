import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { type Entry, eventOf, type MemoryLog, memoryLog } from '../../../test/support/audit-log.ts'
import { goal, times } from '../../../test/support/deep.ts'
import { verifyLog } from '../src/domain/audit/verify.ts'
import { exportLog, openDirectory } from '../src/publish/directory.ts'

/**
 * Random tampering with an exported log. Checkpoints of every hundredth entry were kept elsewhere. Each attempt must be
 * found, and the place must be right: the entry, or at most the interval between two checkpoints or the file.
 */

const SIZE = 700
const INTERVAL = 100

type FileTampering = { kind: 'bit'; file: number; bit: number } | { kind: 'lost'; file: number }
type Tampering = FileTampering | { kind: 'change' | 'delete' | 'insert' | 'swap' | 'cut' | 'fork'; at: number }
const tampering: fc.Arbitrary<Tampering> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('bit' as const), file: fc.nat(), bit: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lost' as const), file: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('change', 'delete', 'insert', 'swap', 'cut', 'fork'),
      at: fc.nat(SIZE - 1),
    }),
  },
)

/** What the owner of the signing key does to the entries. */
const FORGERIES: Record<string, (entries: Entry[], at: number) => void> = {
  change: (entries, at) => entries.splice(at, 1, eventOf(SIZE + at)),
  delete: (entries, at) => entries.splice(at, 1),
  insert: (entries, at) => entries.splice(at, 0, eventOf(SIZE + at)),
  swap: (entries, at) => {
    const other = (at + 1) % entries.length
    const [a, b] = [entries[at], entries[other]]
    if (a && b) [entries[at], entries[other]] = [b, a]
  },
  cut: (entries, at) => entries.splice(at),
  fork: (entries, at) =>
    entries.splice(at, SIZE, ...Array.from({ length: SIZE - at }, (_, i) => eventOf(2 * SIZE + i))),
}

describe('tampering with an exported log', () => {
  let folder: string
  let directory: string
  let log: MemoryLog
  let checkpoints: { name: string; note: string }[]
  let paths: string[]
  const original = Array.from({ length: SIZE }, (_, n) => eventOf(n))
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stagedoor-tamper-'))
    directory = join(folder, 'log')
    log = memoryLog({ size: SIZE, every: INTERVAL })
    checkpoints = log.checkpointsNow.map(({ size, note }) => ({ name: `${size}.txt`, note }))
    await exportLog(log, directory, { personal: true })
    paths = (await readdir(directory, { recursive: true, withFileTypes: true }))
      .filter(each => each.isFile())
      .map(each => join(each.parentPath, each.name))
      .sort()
  })
  after(() => rm(folder, { recursive: true, force: true }))

  async function verify(from: string) {
    const reader = await openDirectory(from)
    return verifyLog(reader, { personal: reader.hasPersonal, keys: [log.vkey], checkpoints })
  }

  /** Returns the entries among which the place of a changed file is; undefined for the checkpoint. */
  function placeOf(path: string): [number, number] | undefined {
    const [, level, n] = /(entries|[01]|personal)\/(\d{3})/.exec(path.slice(directory.length)) ?? []
    if (n === undefined) return undefined
    const leaves = level === '1' ? 65_536 : 256
    return [Number(n) * leaves, Math.min(SIZE, (Number(n) + 1) * leaves) - 1]
  }

  function assertPlace(found: Awaited<ReturnType<typeof verify>>, place: [number, number] | undefined, what: string) {
    assert.equal(found.result, 'tampered', `${what} was not found`)
    const [finding] = found.findings
    if (!place) return
    const text = `${what}: ${JSON.stringify(finding)}, expected within ${place.join('..')}`
    assert.ok(finding?.from !== undefined && finding.to !== undefined, text)
    assert.ok(finding.from >= place[0] && finding.to <= place[1], text)
  }

  async function tamperWithFile(each: FileTampering) {
    const path = paths[each.file % paths.length] ?? ''
    const bytes = await readFile(path)
    const what = `${each.kind} of ${path.slice(directory.length)}`
    if (each.kind === 'lost') await rm(path)
    else {
      const bit = each.bit % (bytes.length * 8)
      const changed = Buffer.from(bytes)
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      await writeFile(path, changed)
    }
    try {
      assertPlace(await verify(directory), placeOf(path), what)
    } finally {
      await writeFile(path, bytes)
    }
  }

  async function forge({ kind, at }: { kind: string; at: number }) {
    const entries = [...original]
    FORGERIES[kind]?.(entries, at)
    const forged = memoryLog({
      entries,
      every: INTERVAL,
      keys: { privateKey: log.privateKey, publicKey: log.publicKey },
    })
    const target = join(folder, 'forged')
    await exportLog(forged, target, { personal: true })
    const start = Math.floor(at / INTERVAL) * INTERVAL
    const isSwapOfEnds = kind === 'swap' && at === SIZE - 1
    try {
      const size = entries.length
      const found = await verify(target)
      // A shorter log is found to be rolled back. The first and last entry show in the first interval.
      if (size < SIZE) assertPlace(found, [Math.min(start, size), SIZE - 1], `${kind} at ${at}`)
      else assertPlace(found, isSwapOfEnds ? [0, INTERVAL - 1] : [start, start + INTERVAL - 1], `${kind} at ${at}`)
    } finally {
      await rm(target, { recursive: true })
    }
  }

  it('is found, with the right place', async () => {
    const count = times(200, 20_000)
    await fc.assert(
      fc.asyncProperty(tampering, async each => {
        if (each.kind === 'bit' || each.kind === 'lost') await tamperWithFile(each)
        else await forge(each)
      }),
      { numRuns: count },
    )
    goal('A1', count, 'of 20,000 found', true)
  })

  it('is never found where there is none', async () => {
    for (let run = 0; run < times(20, 10_000); run++) assert.deepEqual((await verify(directory)).findings, [])
  })
})
