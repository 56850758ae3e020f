import { mkdir, readdir, readFile, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { assertContains } from '../domain/audit/containment.ts'
import { type LogReader, MissingError, type StoredCheckpoint } from '../domain/audit/log-reader.ts'
import { FormatError, leafHash, TILE_WIDTH } from '../domain/audit/merkle.ts'
import { parseCheckpoint } from '../domain/audit/signed-note.ts'
import { decodeEntries, encodeEntries, personalPath, tilePath, tileWidth } from '../domain/audit/tiles.ts'
import { syncFolder, undefinedIfMissing, writeDurably } from './files.ts'

/**
 * A log as a directory of files, as C2SP specifies it (c2sp.org/tlog-tiles): `checkpoint`, `tile/…` and, our own
 * addition, `personal/…`.
 */

const CHECKPOINT = 'checkpoint'
const LINE_FEED = 0x0a

export interface DirectoryReader extends LogReader {
  /** Whether the directory has personal texts. */
  hasPersonal: boolean
}

/**
 * Opens an exported log.
 * @throws Error if there is no exported log in the directory
 * @example const reader = await openDirectory('/backup/audit')
 */
export async function openDirectory(directory: string): Promise<DirectoryReader> {
  if (!((await exists(join(directory, CHECKPOINT))) || (await exists(join(directory, 'tile')))))
    throw new Error(`${directory} has no exported audit log.`)
  const hasPersonal = await exists(join(directory, 'personal'))
  return {
    hasPersonal,
    async tree() {
      const { origin, size, root } = parseCheckpoint(await readCheckpoint(directory))
      return { origin, size, root, first: 0 }
    },
    entries: (from, to) => readEntries(directory, from, to, hasPersonal),
    async tile(level, n, width) {
      const bytes = await readTile(directory, width, each => tilePath(level, n, each))
      return bytes.toString('latin1')
    },
    async checkpoints(beforeSize): Promise<StoredCheckpoint[]> {
      if (beforeSize !== undefined) return []
      const note = await readCheckpoint(directory)
      const { size, root } = parseCheckpoint(note)
      return [{ size, root, at: 0, note, cosignatures: '' }]
    },
    verifierKeys: async () => [],
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(undefinedIfMissing)) !== undefined
}

async function readCheckpoint(directory: string): Promise<string> {
  const bytes = await readFile(join(directory, CHECKPOINT)).catch(undefinedIfMissing)
  if (!bytes) throw new MissingError('the file checkpoint is gone')
  const note = bytes.toString()
  try {
    if (!bytes.equals(Buffer.from(note))) throw new FormatError('it is not UTF-8')
    parseCheckpoint(note)
  } catch (error) {
    if (error instanceof FormatError) throw new FormatError(`the file checkpoint was changed: ${error.message}`)
    throw error
  }
  return note
}

/** Reads the first hashes of a tile: from its partial file, or from the full one if the tree has grown since. */
async function readTile(directory: string, width: number, path: (width: number) => string): Promise<Buffer> {
  const bytes = await readFile(join(directory, path(width))).catch(undefinedIfMissing)
  if (bytes) return bytes
  const full =
    width === TILE_WIDTH ? undefined : await readFile(join(directory, path(TILE_WIDTH))).catch(undefinedIfMissing)
  if (!full) throw new MissingError(`${path(width)} is gone`)
  return full.subarray(0, width * 32)
}

async function readEntries(
  directory: string,
  from: number,
  to: number,
  hasPersonal: boolean,
): Promise<{ text: string; personal: string | null }[]> {
  const n = Math.floor(from / TILE_WIDTH)
  const start = n * TILE_WIDTH
  const { size } = parseCheckpoint(await readCheckpoint(directory))
  for (const width of new Set([to - start, tileWidth('entries', n, size), TILE_WIDTH])) {
    if (width < to - start) continue
    const bytes = await readFile(join(directory, tilePath('entries', n, width))).catch(undefinedIfMissing)
    if (!bytes) continue
    const texts = decodeEntries(bytes)
    if (texts.length !== width) throw new FormatError(`${tilePath('entries', n, width)} has ${texts.length} entries`)
    const personal = hasPersonal ? await readPersonal(directory, n, width) : []
    return texts
      .slice(from - start, to - start)
      .map((text, at) => ({ text, personal: personal[from - start + at] ?? null }))
  }
  throw new MissingError(`entries ${from}..${to - 1} are gone`)
}

/** Reads the personal texts of a bundle. If the file is gone, all of them are. */
async function readPersonal(directory: string, n: number, width: number): Promise<(string | null)[]> {
  const path = personalPath(n, width)
  const bytes = await readFile(join(directory, path)).catch(undefinedIfMissing)
  const texts: (string | null)[] = []
  for (let at = 0; bytes && at < bytes.length; ) {
    const end = bytes.indexOf(LINE_FEED, at)
    if (end < 0) throw new FormatError(`${path} ends within a line`)
    const text = bytes.toString('utf8', at, end)
    // What is not UTF-8 must not match the hash of what it is read as.
    const isUtf8 = !text.includes('\ufffd') || bytes.subarray(at, end).equals(Buffer.from(text))
    texts.push(text === '' ? null : isUtf8 ? text : `${text}\ufffd`)
    at = end + 1
  }
  if (bytes && texts.length !== width) throw new FormatError(`${path} has ${texts.length} lines`)
  return texts
}

export interface ExportOptions {
  /** Whether to write personal texts too. */
  personal: boolean
  /** Called after every 256 entries. */
  onProgress?: (done: number, size: number) => void
}

/**
 * Writes a log to a directory, up to its newest checkpoint. If the directory has an earlier state of the log, only what is
 * new is written. Each file is written under a temporary name, synced and renamed; `checkpoint` comes last. So an
 * interrupted export leaves the earlier state, and the next one continues.
 * @returns the size of the exported log, and how many entries were already there
 * @throws HistoryError if the directory has another history
 * @throws Error if the log has no checkpoint, or its hashes do not match its entries
 * @example await exportLog(reader, '/backup/audit', { personal: true })
 */
export async function exportLog(
  reader: LogReader,
  directory: string,
  { personal, onProgress }: ExportOptions,
): Promise<{ size: number; before: number }> {
  const [newest] = await reader.checkpoints(undefined, 1)
  if (!newest) throw new Error('The log has no checkpoint yet. Try again in a second.')
  const note = newest.note + newest.cosignatures
  const { size } = newest
  const before = await earlierSize(reader, directory, newest, personal)
  const files = new Files(directory)
  const { first } = await reader.tree()
  for (let n = Math.floor(before / TILE_WIDTH); n * TILE_WIDTH < size; n++) {
    const width = tileWidth(0, n, size)
    const tile = await reader.tile(0, n, width)
    const writes = [files.write(tilePath(0, n, width), Buffer.from(tile, 'latin1'))]
    if (n * TILE_WIDTH >= first) {
      const entries = await reader.entries(n * TILE_WIDTH, n * TILE_WIDTH + width)
      if (entries.map(({ text }) => leafHash(text)).join('') !== tile)
        throw new Error(
          `Entries ${n * TILE_WIDTH}..${n * TILE_WIDTH + width - 1} do not match their hashes. Run stagedoor audit verify.`,
        )
      writes.push(files.write(tilePath('entries', n, width), encodeEntries(entries.map(({ text }) => text))))
      const lines = entries.map(({ personal }) => `${personal ?? ''}\n`).join('')
      if (personal) writes.push(files.write(personalPath(n, width), Buffer.from(lines)))
    }
    await Promise.all(writes)
    onProgress?.(n * TILE_WIDTH + width, size)
  }
  await writeUpperTiles(reader, files, before, size)
  await files.syncFolders()
  await files.write(CHECKPOINT, Buffer.from(note))
  await files.syncFolders()
  if (before < size) await removePartialTiles(directory, before, size)
  return { size, before }
}

/** Returns the size of the log that the directory has, after checking that the log contains it. */
async function earlierSize(
  reader: LogReader,
  directory: string,
  newest: { size: number; note: string },
  personal: boolean,
): Promise<number> {
  if (!(await exists(join(directory, CHECKPOINT)))) return 0
  const earlier = parseCheckpoint(await readCheckpoint(directory))
  await assertContains(reader, newest, earlier, directory)
  const hasPersonal = await exists(join(directory, 'personal'))
  if (earlier.size > 0 && hasPersonal !== personal)
    throw new Error(
      hasPersonal
        ? `${directory} has personal texts. Export without them to another directory.`
        : `${directory} was exported without personal texts. Add --without-personal, or export to another directory.`,
    )
  return earlier.size
}

async function writeUpperTiles(reader: LogReader, files: Files, before: number, size: number): Promise<void> {
  for (let level = 1; size >= TILE_WIDTH ** level; level++)
    for (let n = Math.floor(before / TILE_WIDTH ** (level + 1)); tileWidth(level, n, size) > 0; n++) {
      const width = tileWidth(level, n, size)
      await files.write(tilePath(level, n, width), Buffer.from(await reader.tile(level, n, width), 'latin1'))
    }
}

/** Removes the partial files of the tiles that have grown. */
async function removePartialTiles(directory: string, before: number, size: number): Promise<void> {
  for (const level of ['entries', 'personal', 0, 1, 2, 3, 4, 5] as const) {
    const tileLevel = level === 'personal' ? 'entries' : level
    const leaves = TILE_WIDTH ** (typeof tileLevel === 'number' ? tileLevel + 1 : 1)
    const n = Math.floor(before / leaves)
    const path = (width: number) => (level === 'personal' ? personalPath(n, width) : tilePath(tileLevel, n, width))
    const kept = join(directory, path(Math.max(1, tileWidth(tileLevel, n, size))))
    const folder = dirname(join(directory, path(1)))
    for (const name of (await readdir(folder).catch(undefinedIfMissing)) ?? [])
      if (join(folder, name) !== kept) await rm(join(folder, name), { force: true })
    if (tileWidth(tileLevel, n, size) === TILE_WIDTH) await rmdir(folder).catch(undefinedIfMissing)
  }
}

/** Writes files so that each is complete or absent after a crash. */
class Files {
  readonly #directory: string
  readonly #folders = new Set<string>()

  constructor(directory: string) {
    this.#directory = directory
  }

  async write(path: string, bytes: Buffer): Promise<void> {
    const target = join(this.#directory, path)
    const folder = dirname(target)
    if (!this.#folders.has(folder)) {
      await mkdir(folder, { recursive: true })
      this.#folders.add(folder)
    }
    await writeDurably(target, bytes)
  }

  /** Makes the new names durable. */
  async syncFolders(): Promise<void> {
    for (const folder of this.#folders) await syncFolder(folder)
    this.#folders.clear()
  }
}
