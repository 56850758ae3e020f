import { FormatError, fromBase64, type HashReader, rootOfHashes, TILE_WIDTH, toBase64 } from './merkle.ts'
import { parseNote, parseNumber } from './signed-note.ts'

/** Names and contents of tiles, entry bundles and proofs, as C2SP specifies them (c2sp.org/tlog-tiles, tlog-proof). */

/** Level of a tile, or `entries` for a bundle of entries. */
export type TileLevel = number | 'entries'

export interface TileName {
  level: TileLevel
  /** Position in the level. */
  n: number
  /** Number of hashes or entries: 256 if it is full. */
  width: number
}

/** Maximum bytes of one entry: its length is written with two bytes. */
export const MAX_ENTRY_BYTES = 65_535
const MAX_LEVEL = 5
const PROOF_HEADER = 'c2sp.org/tlog-proof@v1'

/**
 * Returns the path of a tile or an entry bundle.
 * @example tilePath(0, 1234067, 256) // 'tile/0/x001/x234/067'
 * @example tilePath('entries', 3, 12) // 'tile/entries/003.p/12'
 */
export function tilePath(level: TileLevel, n: number, width: number): string {
  return `tile/${level}/${numberPath(n)}${partialPath(width)}`
}

/**
 * Returns the path of the personal texts of an entry bundle. It is our own addition to C2SP's files.
 * @example personalPath(3, 12) // 'personal/003.p/12.jsonl'
 */
export function personalPath(n: number, width: number): string {
  return `personal/${numberPath(n)}${partialPath(width)}.jsonl`
}

/** Writes a number in groups of three digits; all but the last begin with "x". */
function numberPath(n: number): string {
  const digits = String(n)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.../g) ?? []
  return groups.map((group, at) => (at === groups.length - 1 ? group : `x${group}`)).join('/')
}

function partialPath(width: number): string {
  return width === TILE_WIDTH ? '' : `.p/${width}`
}

/**
 * Reads the path of a tile or an entry bundle. Each has one path.
 * @returns undefined if it is not such a path
 * @example parseTilePath('tile/0/x001/x234/067.p/8') // { level: 0, n: 1234067, width: 8 }
 */
export function parseTilePath(path: string): TileName | undefined {
  const found = /^tile\/(entries|[0-9])\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(path)
  if (!found) return undefined
  const [, written = '', groups = '', partial] = found
  const level = written === 'entries' ? written : Number(written)
  const n = Number(groups.replaceAll(/[x/]/g, ''))
  const width = partial === undefined ? TILE_WIDTH : Number(partial)
  const isTile = Number.isSafeInteger(n) && (level === 'entries' || level <= MAX_LEVEL)
  return isTile && tilePath(level, n, width) === path && width <= TILE_WIDTH ? { level, n, width } : undefined
}

/**
 * Returns how many hashes or entries a tile has in a tree of this size: 256 if it is full, 0 if it does not exist.
 * @example tileWidth(0, 1, 300) // 44
 */
export function tileWidth(level: TileLevel, n: number, size: number): number {
  const count = Math.floor(size / TILE_WIDTH ** (level === 'entries' ? 0 : level))
  return Math.max(0, Math.min(TILE_WIDTH, count - n * TILE_WIDTH))
}

/**
 * Reads hashes of subtrees from the tiles of a tree. It keeps the tiles that it read.
 * @param size number of leaves of the tree that the tiles belong to
 * @example inclusionProof(index, size, tileHashes(size, (level, n, width) => reader.tile(level, n, width)))
 */
export function tileHashes(
  size: number,
  readTile: (level: number, n: number, width: number) => string | Promise<string>,
): HashReader {
  const tiles = new Map<string, string | Promise<string>>()
  return {
    async hash(level, index) {
      const tileLevel = Math.floor(level / 8)
      const count = 2 ** (level % 8)
      const n = Math.floor((index * count) / TILE_WIDTH)
      const from = (index * count) % TILE_WIDTH
      const key = `${tileLevel}/${n}`
      const tile = tiles.get(key) ?? readTile(tileLevel, n, tileWidth(tileLevel, n, size))
      tiles.set(key, tile)
      const hashes = (await tile).slice(from * 32, (from + count) * 32)
      if (hashes.length !== count * 32) throw new FormatError(`tile ${key} has too few hashes`)
      return rootOfHashes(hashes)
    },
  }
}

/**
 * Returns the bytes of an entry bundle: each text after its length.
 * @throws FormatError if a text is longer than 65,535 bytes
 * @example await writeFile(path, encodeEntries(events.map(({ event }) => event)))
 */
export function encodeEntries(texts: readonly string[]): Buffer {
  const parts: Buffer[] = []
  for (const text of texts) {
    const bytes = Buffer.from(text)
    if (bytes.length > MAX_ENTRY_BYTES) throw new FormatError(`an entry has at most ${MAX_ENTRY_BYTES} bytes`)
    const length = Buffer.alloc(2)
    length.writeUInt16BE(bytes.length)
    parts.push(length, bytes)
  }
  return Buffer.concat(parts)
}

/**
 * Reads an entry bundle.
 * @throws FormatError if it ends within an entry, or an entry is not UTF-8
 * @example decodeEntries(await readFile(path)).length // at most 256
 */
export function decodeEntries(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const texts: string[] = []
  let at = 0
  while (at < buffer.length) {
    const end = at + 2 <= buffer.length ? at + 2 + buffer.readUInt16BE(at) : Infinity
    if (end > buffer.length) throw new FormatError('an entry bundle ends within an entry')
    const text = buffer.toString('utf8', at + 2, end)
    if (text.includes('\ufffd') && !buffer.subarray(at + 2, end).equals(Buffer.from(text)))
      throw new FormatError('an entry is not UTF-8', texts.length)
    texts.push(text)
    at = end
  }
  return texts
}

export interface EventProof {
  /** Leaf index of the event. */
  index: number
  hashes: readonly string[]
  /** The signed note of the tree that the proof leads to. */
  checkpoint: string
  /** The personal text of the event. It is not part of what is proved: check it against `personal_hash`. */
  extra?: string | undefined
}

/**
 * Returns a proof that an event is in the log, as a text (`.tlog-proof`).
 * @example formatProof({ index, hashes: await inclusionProof(index, size, reader), checkpoint })
 */
export function formatProof({ index, hashes, checkpoint, extra }: EventProof): string {
  const lines = [PROOF_HEADER]
  if (extra !== undefined) lines.push(`extra ${Buffer.from(extra).toString('base64')}`)
  lines.push(`index ${index}`, ...hashes.map(toBase64), '', checkpoint)
  return lines.join('\n')
}

/**
 * Reads a proof, without checking it.
 * @throws FormatError
 * @example const { index, hashes, checkpoint } = parseProof(await readFile('e.tlog-proof', 'utf8'))
 */
export function parseProof(text: string): EventProof {
  const end = text.indexOf('\n\n')
  const [header, ...lines] = text.slice(0, Math.max(0, end)).split('\n')
  if (header !== PROOF_HEADER) throw new FormatError(`a proof begins with ${PROOF_HEADER}`)
  const extra = lines[0]?.startsWith('extra ') ? base64Text(lines.shift()?.slice('extra '.length) ?? '') : undefined
  const index = lines.shift() ?? ''
  if (!index.startsWith('index ')) throw new FormatError('a proof has the index of an entry')
  const checkpoint = text.slice(end + 2)
  parseNote(checkpoint)
  return { index: parseNumber(index.slice('index '.length)), hashes: lines.map(fromBase64), checkpoint, extra }
}

function base64Text(base64: string): string {
  const bytes = Buffer.from(base64, 'base64')
  const text = bytes.toString()
  if (bytes.toString('base64') !== base64 || !bytes.equals(Buffer.from(text)))
    throw new FormatError('the extra data of a proof is base64 of UTF-8')
  return text
}
