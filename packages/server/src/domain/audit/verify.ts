import { type DatabaseChecks, type Finding, Findings } from './findings.ts'
import { type LogReader, MissingError, type StoredCheckpoint } from './log-reader.ts'
import { Edge, FormatError, fromHex, leafHash, rootOfHashes, TILE_WIDTH, toHex } from './merkle.ts'
import { PersonalTexts } from './personal-texts.ts'
import {
  type Checkpoint,
  parseCheckpoint,
  parseNote,
  parseVerifierKey,
  SignatureError,
  signersOf,
  type VerifierKey,
  verifyNote,
} from './signed-note.ts'
import { tilePath, tileWidth } from './tiles.ts'

export interface VerifyOptions {
  /** Checkpoints that were kept outside the log: the name that messages give them, and the signed note. */
  checkpoints?: readonly { name: string; note: string }[]
  /** Verifier keys of the log; by default those that the log itself names. */
  keys?: readonly string[]
  /** Verifier keys of witnesses. */
  witnesses?: readonly string[]
  /** How many of the witnesses must have cosigned a checkpoint. */
  quorum?: number
  /** Whether the reader has personal texts. Without them, null does not mean "erased". */
  personal: boolean
  /** What else is compared if the log is read from the database. */
  database?: DatabaseChecks
}

export interface VerifyResult {
  /** `proved`, `tampered`, or `unchecked` if something is missing that the check needs: a key, a checkpoint, cosignatures. */
  result: 'proved' | 'tampered' | 'unchecked'
  origin: string
  size: number
  root: string
  /** First entry that has not been archived. */
  first: number
  /** Stored and given checkpoints that the log matches. */
  checkpoints: number
  /** Size of the largest checkpoint with a valid signature that the log matches. Later entries have no proof yet. */
  signed_size: number
  /** The same with enough cosignatures; null if no witness was named. */
  witnessed_size: number | null
  /** Personal texts that match their hash, and those that were erased. */
  personal: { checked: number; erased: number }
  /** The first 100 disagreements, in the order in which they were found. */
  findings: readonly Finding[]
  /** Number of all disagreements. */
  found: number
}

/** A checkpoint with a valid signature, to which the log is compared. */
interface Known extends Checkpoint {
  /** How messages name it. */
  name: string
  isGiven: boolean
  isWitnessed: boolean
}

type Entry = Awaited<ReturnType<LogReader['entries']>>[number]

const CHECKPOINTS_PER_READ = 500

/**
 * Verifies an audit log: each entry against its hash, each tile against the tiles below it, the tree against every
 * checkpoint, and each personal text against its hash.
 *
 * A checkpoint that was kept elsewhere proves that nothing before it was changed since. The checkpoints in the log prove
 * only that nobody without the log's key changed it.
 * @returns what is proved, and each disagreement with its place
 * @throws FormatError if one of the keys in the options is not a verifier key
 * @throws whatever the reader throws if the log cannot be read
 * @example
 * const { result, findings } = await verifyLog(reader, { personal: true, checkpoints: [{ name: 'june.txt', note }] })
 */
export async function verifyLog(reader: LogReader, options: VerifyOptions): Promise<VerifyResult> {
  for (const vkey of [...(options.keys ?? []), ...(options.witnesses ?? [])]) parseVerifierKey(vkey)
  try {
    return await new Verification(reader, options, await reader.tree()).run()
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof MissingError)) throw error
    const findings = new Findings()
    findings.tampered(error.message)
    return { ...NOTHING, findings: findings.list, found: findings.count }
  }
}

/** The result if not even the size of the log can be read. */
const NOTHING = {
  result: 'tampered',
  origin: '',
  size: 0,
  root: '',
  first: 0,
  checkpoints: 0,
  signed_size: 0,
  witnessed_size: null,
  personal: { checked: 0, erased: 0 },
} as const

class Verification {
  readonly #reader: LogReader
  readonly #options: VerifyOptions
  readonly #tree: { origin: string; size: number; root: string; first: number }
  readonly #findings = new Findings()
  readonly #personal: PersonalTexts
  /** Grows with the hashes that were found to be right. */
  readonly #edge = Edge.empty()
  /** Checkpoints that have not been reached yet, the smallest first. */
  #ahead: Known[] = []
  /** A series that failed once fails for all later checkpoints: only the first failure has a place. */
  readonly #failed = { given: false, stored: false }
  readonly #matched = { given: 0, stored: 0, witnessed: 0, count: 0, signed: 0 }
  /** Hashes are missing: no later root can be computed. */
  #isBroken = false

  constructor(reader: LogReader, options: VerifyOptions, tree: Awaited<ReturnType<LogReader['tree']>>) {
    this.#reader = reader
    this.#options = options
    this.#tree = tree
    this.#personal = new PersonalTexts(this.#findings)
  }

  async run(): Promise<VerifyResult> {
    const { size } = this.#tree
    await this.#findCheckpoints()
    this.#compareCheckpoints()
    for (let n = 0; n * TILE_WIDTH < size && !this.#isBroken; n++) await this.#verifyTile(n)
    if (!this.#isBroken) {
      await this.#verifyBorder()
      if (!this.#findings.hasTampered && toHex(this.#edge.root()) !== this.#tree.root)
        this.#findings.tampered(`the stored root of the tree of ${size} entries is not the root of its entries`)
    }
    this.#personal.finish(this.#tree)
    const { database } = this.#options
    if (database) this.#findings.add(await database.outside())
    return this.#result()
  }

  #result(): VerifyResult {
    const { witnesses = [], quorum = witnesses.length } = this.#options
    const { count, signed, witnessed } = this.#matched
    const { checked, erased } = this.#personal
    if (signed === 0 && this.#tree.size > 0 && !this.#findings.hasTampered)
      this.#findings.unchecked('no checkpoint with a valid signature covers any entry')
    if (witnesses.length > 0 && witnessed === 0)
      this.#findings.unchecked(`no checkpoint that the log matches has cosignatures of ${quorum} of the witnesses`)
    return {
      result: this.#findings.result,
      ...this.#tree,
      checkpoints: count,
      signed_size: signed,
      witnessed_size: witnesses.length > 0 ? witnessed : null,
      personal: { checked, erased },
      findings: this.#findings.list,
      found: this.#findings.count,
    }
  }

  /** Collects all checkpoints with a valid signature, and reports the others. */
  async #findCheckpoints(): Promise<void> {
    const { checkpoints: given = [], witnesses = [], quorum = witnesses.length } = this.#options
    const keys = await this.#keys()
    const cosigners = witnesses.map(parseVerifierKey)
    const known = (checkpoint: Checkpoint, note: string, name: string, isGiven: boolean): void => {
      const isWitnessed = cosigners.length > 0 && this.#countCosigners(note, cosigners, name) >= quorum
      this.#ahead.push({ ...checkpoint, name, isGiven, isWitnessed })
    }
    for (const { name, note } of given) {
      const checkpoint = this.#signed(note, name, keys)
      if (checkpoint && this.#isOurs(checkpoint, name, true)) known(checkpoint, note, name, true)
    }
    let before: number | undefined
    for (;;) {
      const page = await this.#reader.checkpoints(before, CHECKPOINTS_PER_READ)
      for (const row of page) {
        const name = `the stored checkpoint of ${row.size} entries`
        const checkpoint = this.#signed(row.note, name, keys)
        if (checkpoint && this.#isOurs(checkpoint, name, false) && this.#isRow(row, checkpoint, name))
          known(checkpoint, row.note + row.cosignatures, name, false)
      }
      before = page.at(-1)?.size
      if (before === undefined || page.length < CHECKPOINTS_PER_READ) break
    }
    this.#ahead.sort((a, b) => a.size - b.size || Number(b.isGiven) - Number(a.isGiven))
  }

  async #keys(): Promise<VerifierKey[]> {
    const vkeys = this.#options.keys ?? (await this.#reader.verifierKeys()).map(({ vkey }) => vkey)
    if (vkeys.length === 0) this.#findings.unchecked('no key of the log is known: give it as --key')
    return vkeys.map(parseVerifierKey)
  }

  /** Returns the checkpoint in a note, if a key of the log signed it. */
  #signed(note: string, name: string, keys: readonly VerifierKey[]): Checkpoint | undefined {
    if (keys.length === 0) return undefined
    try {
      const { text } = verifyNote(note, keys)
      return parseCheckpoint(text)
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof SignatureError)) throw error
      this.#findings.tampered(`${name} was changed, or is not of this log: ${error.message}`)
      return undefined
    }
  }

  #isOurs({ origin, size }: Checkpoint, name: string, isGiven: boolean): boolean {
    if (origin !== this.#tree.origin) {
      if (isGiven) this.#findings.unchecked(`${name} belongs to another log: ${origin}`)
      else this.#findings.tampered(`${name} belongs to another log: ${origin}`)
      return false
    }
    if (size <= this.#tree.size) return true
    const [from, to] = [this.#tree.size, size - 1]
    this.#findings.tampered(`entries ${from}.. are gone: the log was rolled back (${name} has ${size})`, { from, to })
    return false
  }

  #isRow({ size, root }: StoredCheckpoint, checkpoint: Checkpoint, name: string): boolean {
    const isSame = size === checkpoint.size && root === checkpoint.root
    if (!isSame) this.#findings.tampered(`${name} was changed: its size or root is not what was signed`)
    return isSame
  }

  #countCosigners(note: string, witnesses: readonly VerifierKey[], name: string): number {
    try {
      return signersOf(parseNote(note), witnesses).length
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof SignatureError)) throw error
      this.#findings.tampered(`a cosignature of ${name} was changed: ${error.message}`)
      return 0
    }
  }

  /** Verifies 256 entries and their tile of level 0, and appends the right hashes to the edge. */
  async #verifyTile(n: number): Promise<void> {
    const from = n * TILE_WIDTH
    const width = tileWidth(0, n, this.#tree.size)
    const isArchived = from < this.#tree.first
    const stored = await this.#tile(0, n, width)
    const entries = isArchived ? undefined : await this.#entries(from, from + width, stored !== undefined)
    const computed = entries?.map(({ text }) => leafHash(text)).join('')
    const hashes = await this.#rightHashes(n, stored, computed, entries)
    if (hashes === undefined) {
      if (isArchived) this.#findings.tampered(`the hashes of entries ${from}..${from + width - 1} are gone`, { from })
      this.#isBroken = true
      return
    }
    if (entries && this.#options.personal) this.#personal.check(from, entries)
    else if (entries) this.#personal.look(from, entries)
    if (entries) this.#findings.add((await this.#options.database?.columns(from, entries)) ?? [])
    for (let at = 0; at < hashes.length; at += 32) {
      for (const { level, tile, hashes: full } of this.#edge.append(hashes.slice(at, at + 32)))
        if (level > 0) await this.#compareTile(level, tile, full)
      this.#compareCheckpoints()
    }
  }

  /** Returns the hashes of a tile: those of the entries or, where these were changed, those that were stored. */
  async #rightHashes(
    n: number,
    stored: string | undefined,
    computed: string | undefined,
    entries: readonly { text: string }[] | undefined,
  ): Promise<string | undefined> {
    if (stored === undefined || computed === undefined || entries === undefined || stored === computed)
      return computed ?? stored
    if (await this.#areRight(n, computed, stored)) {
      this.#findings.tampered(`${tilePath(0, n, stored.length / 32)} was changed`, this.#range(n))
      return computed
    }
    for (const [at, { text }] of entries.entries()) {
      const index = n * TILE_WIDTH + at
      if (stored.slice(at * 32, at * 32 + 32) !== computed.slice(at * 32, at * 32 + 32))
        this.#findings.tampered(`entry ${index}${describe(text)} was changed`, { from: index, to: index })
    }
    return stored
  }

  /** Returns whether the tile above or the checkpoints have these hashes, and not the stored ones. */
  async #areRight(n: number, computed: string, stored: string): Promise<boolean> {
    if (computed.length === TILE_WIDTH * 32) {
      const above = Math.floor(n / TILE_WIDTH)
      const parent = await this.#tile(1, above, tileWidth(1, above, this.#tree.size))
      const at = (n % TILE_WIDTH) * 32
      if (parent !== undefined) return parent.slice(at, at + 32) === rootOfHashes(computed)
    }
    return this.#countMatches(computed) > this.#countMatches(stored)
  }

  /** Returns how many of the known roots the tree has if these are its next hashes. */
  #countMatches(hashes: string): number {
    const { size, root } = this.#tree
    const edge = this.#edge.copy()
    const roots = new Map([...this.#ahead.map(({ size, root }) => [size, root] as const), [size, root]])
    let count = 0
    for (let at = 0; at < hashes.length; at += 32) {
      edge.append(hashes.slice(at, at + 32))
      if (roots.get(edge.size) === toHex(edge.root())) count++
    }
    return count
  }

  /** Reads a tile. @returns undefined if it is gone or damaged, which is then reported */
  async #tile(level: number, n: number, width: number): Promise<string | undefined> {
    const path = tilePath(level, n, width)
    try {
      const hashes = await this.#reader.tile(level, n, width)
      if (hashes.length === width * 32) return hashes
      this.#findings.tampered(`${path} was changed: it does not have ${width} hashes`, this.#range(n, level))
    } catch (error) {
      if (error instanceof MissingError) this.#findings.tampered(error.message, this.#range(n, level))
      else if (error instanceof FormatError)
        this.#findings.tampered(`${path} was changed: ${error.message}`, this.#range(n, level))
      else throw error
    }
    return undefined
  }

  async #entries(from: number, to: number, hasTile: boolean): Promise<readonly Entry[] | undefined> {
    const range = { from, to: to - 1 }
    const named = `entries ${from}..${to - 1}`
    try {
      const entries = await this.#reader.entries(from, to)
      if (entries.length === to - from) return entries
      this.#findings.tampered(`${named} were changed: there are ${entries.length}`, range)
    } catch (error) {
      if (error instanceof MissingError) this.#findings.tampered(error.message, range)
      else if (!(error instanceof FormatError)) throw error
      else if (error.entry === undefined) this.#findings.tampered(`${named} were changed: ${error.message}`, range)
      else {
        const index = from + error.entry
        this.#findings.tampered(`entry ${index} was changed: ${error.message}`, { from: index, to: index })
      }
    }
    if (!hasTile) this.#findings.tampered(`the hashes of ${named} are gone too: later entries were not checked`, range)
    return undefined
  }

  /** Returns the entries below a tile. */
  #range(n: number, level = 0): { from: number; to: number } {
    const leaves = TILE_WIDTH ** (level + 1)
    return { from: n * leaves, to: Math.min((n + 1) * leaves, this.#tree.size) - 1 }
  }

  async #compareTile(level: number, n: number, hashes: string): Promise<void> {
    const stored = await this.#tile(level, n, hashes.length / 32)
    if (stored !== undefined && stored !== hashes)
      this.#findings.tampered(`${tilePath(level, n, hashes.length / 32)} was changed`, this.#range(n, level))
  }

  /** Compares the partial tiles of the upper levels. */
  async #verifyBorder(): Promise<void> {
    for (const [level, hashes] of this.#edge.levels().entries()) {
      const n = Math.floor(this.#edge.size / TILE_WIDTH ** (level + 1))
      if (level > 0 && hashes.length > 0) await this.#compareTile(level, n, hashes.join(''))
    }
  }

  /** Compares the tree with the checkpoints of its present size. */
  #compareCheckpoints(): void {
    while (this.#ahead[0]?.size === this.#edge.size) {
      const checkpoint = this.#ahead.shift()
      if (checkpoint) this.#compare(checkpoint)
    }
  }

  #compare({ size, root, name, isGiven, isWitnessed }: Known): void {
    const series = isGiven ? 'given' : 'stored'
    if (fromHex(root) === this.#edge.root()) {
      this.#matched.count++
      this.#matched[series] = size
      this.#matched.signed = size
      if (isWitnessed) this.#matched.witnessed = size
      return
    }
    if (this.#failed[series]) return
    this.#failed[series] = true
    // Who has the key can sign a changed log again: stored checkpoints say nothing about the place of what given ones show.
    const from = isGiven ? this.#matched.given : Math.max(this.#matched.given, this.#matched.stored)
    this.#findings.tampered(
      `something in entries ${from}..${size - 1} was changed, deleted, inserted or moved: the log does not match ${name}`,
      { from, to: size - 1 },
    )
  }
}

/** Returns the id and the time of an event, for a message. @example describe(text) // ' (evt_…, 2026-01-31T12:00:05.000Z)' */
function describe(text: string): string {
  try {
    const { id, at } = JSON.parse(text) as { id: unknown; at: unknown }
    return ` (${String(id)}, ${new Date(Number(at)).toISOString()})`
  } catch {
    return ''
  }
}
