import { hash } from 'node:crypto'

/** The Merkle tree of the audit log (RFC 9162 §2.1). A hash is a string of 32 latin1 characters: in Node, faster than a Buffer. */

/** Text or bytes do not have the format that they should have: a hash, a tile, a note, a proof. */
export class FormatError extends Error {
  /** Which entry of a bundle is wrong, from 0; undefined if it is the bundle. */
  readonly entry: number | undefined

  constructor(message: string, entry?: number) {
    super(message)
    this.entry = entry
  }
}

/** Number of hashes in a full tile, and of entries in a full entry bundle. */
export const TILE_WIDTH = 256
const HASH_LENGTH = 32
/** The name of latin1 that the types of node:crypto know. */
const LATIN1 = 'binary'

/** Root of the tree without leaves: the SHA-256 of nothing. */
export const EMPTY_ROOT = hash('sha256', '', LATIN1)

/**
 * Returns the hash of an entry as a leaf: SHA-256 over 0x00 and the text in UTF-8.
 * @example toHex(leafHash(record.event)) === record.leaf_hash
 */
export function leafHash(text: string): string {
  return hash('sha256', `\u0000${text}`, LATIN1)
}

const NODE = Buffer.alloc(1 + 2 * HASH_LENGTH, 1)

/**
 * Returns the hash of an inner node: SHA-256 over 0x01 and both children.
 * @example nodeHash(leafHash('a'), leafHash('b')) // the root of a tree with two leaves
 */
export function nodeHash(left: string, right: string): string {
  NODE.write(left, 1, HASH_LENGTH, LATIN1)
  NODE.write(right, 1 + HASH_LENGTH, HASH_LENGTH, LATIN1)
  return hash('sha256', NODE, LATIN1)
}

/** Returns a hash in lower-case hex. @example toHex(EMPTY_ROOT) // 'e3b0c442…' */
export function toHex(hash: string): string {
  return Buffer.from(hash, 'latin1').toString('hex')
}

/** Reads a hash from lower-case hex. @throws FormatError @example fromHex(row.root) */
export function fromHex(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new FormatError('a hash is 64 characters of lower-case hex')
  return Buffer.from(text, 'hex').toString('latin1')
}

/** Returns a hash in base64. @example toBase64(edge.root()) // '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' */
export function toBase64(hash: string): string {
  return Buffer.from(hash, 'latin1').toString('base64')
}

/** Reads a hash from its only base64 text. @throws FormatError @example fromBase64(line) */
export function fromBase64(text: string): string {
  const bytes = bytesOfBase64(text)
  if (bytes.length !== HASH_LENGTH) throw new FormatError('a hash has 32 bytes')
  return bytes.toString('latin1')
}

/**
 * Reads bytes from base64 and accepts one text for each value: with padding, without white space, and with the unused
 * bits at the end set to zero.
 * @throws FormatError
 * @example bytesOfBase64('AQI=') // <Buffer 01 02>
 */
export function bytesOfBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw new FormatError('this is not canonical base64')
  return bytes
}

export interface FullTile {
  /** Level of the tile: its hashes are roots of subtrees with 256^level leaves. */
  level: number
  /** Position of the tile in its level. */
  tile: number
  /** 256 hashes: 8,192 latin1 characters. */
  hashes: string
  /** Root of these 256 hashes: one hash of the level above. */
  root: string
}

/** One level of an edge: the hashes of its last tile, and the roots of the complete subtrees among them, largest first. */
interface EdgeLevel {
  hashes: string[]
  peaks: string[]
}

/**
 * The right border of a tree: the hashes of the last, incomplete tile of each level. That is enough to append leaves and
 * to compute the root.
 */
export class Edge {
  #size: number
  readonly #levels: EdgeLevel[]

  private constructor(size: number, levels: EdgeLevel[]) {
    this.#size = size
    this.#levels = levels
  }

  /** Returns the edge of the tree without leaves. @example const edge = Edge.empty() */
  static empty(): Edge {
    return new Edge(0, [])
  }

  /**
   * Restores an edge from its hashes.
   * @param hashesPerLevel what `levels()` returned: level 0 first
   * @throws FormatError if a level does not have as many hashes as a tree of this size
   * @example Edge.of(edge.size, edge.levels()).root() === edge.root()
   */
  static of(size: number, hashesPerLevel: readonly (readonly string[])[]): Edge {
    const levels: EdgeLevel[] = []
    for (let level = 0, left = size; left > 0; level++, left = Math.floor(left / TILE_WIDTH)) {
      const hashes = hashesPerLevel[level] ?? []
      if (hashes.length !== left % TILE_WIDTH)
        throw new FormatError(`level ${level} of a tree of ${size} has ${left % TILE_WIDTH} hashes in its last tile`)
      const restored: EdgeLevel = { hashes: [], peaks: [] }
      for (const each of hashes) push(restored, each)
      levels.push(restored)
    }
    return new Edge(size, levels)
  }

  /** Number of leaves. */
  get size(): number {
    return this.#size
  }

  /** Returns the root of the tree. @example edge.root() === EMPTY_ROOT // for a tree without leaves */
  root(): string {
    let root: string | undefined
    for (const { peaks } of this.#levels)
      for (const peak of peaks.toReversed()) root = root === undefined ? peak : nodeHash(peak, root)
    return root ?? EMPTY_ROOT
  }

  /**
   * Appends a leaf.
   * @returns the tiles that it completed: none, or one of level 0 and perhaps some of the levels above
   * @example const full = edge.append(leafHash(event))
   */
  append(leaf: string): FullTile[] {
    this.#size++
    const full: FullTile[] = []
    let hash = leaf
    let tiles = this.#size
    for (let level = 0; ; level++) {
      const at = this.#levels[level] ?? { hashes: [], peaks: [] }
      this.#levels[level] = at
      push(at, hash)
      if (at.hashes.length < TILE_WIDTH) return full
      tiles /= TILE_WIDTH
      const [root = ''] = at.peaks
      full.push({ level, tile: tiles - 1, hashes: at.hashes.join(''), root })
      this.#levels[level] = { hashes: [], peaks: [] }
      hash = root
    }
  }

  /** Returns the hashes of the last tile of each level: at most 255 for each. @example edge.levels()[0]?.length */
  levels(): readonly (readonly string[])[] {
    return this.#levels.map(({ hashes }) => hashes)
  }

  /** Returns an edge that can grow independently of this one. @example const next = edge.copy() */
  copy(): Edge {
    const levels = this.#levels.map(({ hashes, peaks }) => ({ hashes: [...hashes], peaks: [...peaks] }))
    return new Edge(this.#size, levels)
  }
}

/** Appends a hash to a level, and joins subtrees of equal size. */
function push({ hashes, peaks }: EdgeLevel, hash: string): void {
  hashes.push(hash)
  let joined = hash
  for (let count = hashes.length; count % 2 === 0; count /= 2) joined = nodeHash(peaks.pop() ?? '', joined)
  peaks.push(joined)
}

/**
 * Returns the root of hashes that stand next to each other.
 * @param hashes any number of hashes, one after the other
 * @example rootOfHashes(tile.hashes) === tile.root
 */
export function rootOfHashes(hashes: string): string {
  if (hashes.length === 0) return EMPTY_ROOT
  let row: string[] = []
  for (let at = 0; at < hashes.length; at += HASH_LENGTH) row.push(hashes.slice(at, at + HASH_LENGTH))
  while (row.length > 1) {
    const above: string[] = []
    for (let at = 0; at < row.length; at += 2) {
      const [left = '', right] = [row[at], row[at + 1]]
      above.push(right === undefined ? left : nodeHash(left, right))
    }
    row = above
  }
  return row[0] ?? EMPTY_ROOT
}

/** Reads hashes of complete subtrees. */
export interface HashReader {
  /**
   * Returns the hash of a complete subtree of 2^level leaves.
   * @param index position among the subtrees of this level: the subtree begins with leaf index * 2^level
   */
  hash(level: number, index: number): string | Promise<string>
}

/**
 * Returns the root of the tree of the first `size` leaves.
 * @example await rootOf(checkpoint.size, reader)
 */
export async function rootOf(size: number, reader: HashReader): Promise<string> {
  return size === 0 ? EMPTY_ROOT : await rangeRoot(0, size, reader)
}

/** Returns the root over the leaves from..to-1, which must be a node of a tree that ends at `to` or later. */
async function rangeRoot(from: number, to: number, reader: HashReader): Promise<string> {
  const half = split(to - from)
  if (half * 2 === to - from || to - from === 1)
    return reader.hash(Math.round(Math.log2(to - from)), from / (to - from))
  const left = await rangeRoot(from, from + half, reader)
  return nodeHash(left, await rangeRoot(from + half, to, reader))
}

/** Returns the largest power of two below a number; 0.5 for 1. */
function split(count: number): number {
  let half = 0.5
  while (half * 2 < count) half *= 2
  return half
}

/**
 * Returns the proof that a leaf is in the tree of the first `size` leaves (RFC 9162 §2.1.3.1).
 * @throws RangeError if the tree has no such leaf
 * @example verifyInclusion(leafHash(text), index, size, await inclusionProof(index, size, reader), root)
 */
export async function inclusionProof(index: number, size: number, reader: HashReader): Promise<string[]> {
  if (!(Number.isSafeInteger(index) && index >= 0 && index < size)) throw new RangeError(`no leaf ${index} of ${size}`)
  const proof: string[] = []
  let [from, to] = [0, size]
  while (to - from > 1) {
    const middle = from + split(to - from)
    proof.push(await (index < middle ? rangeRoot(middle, to, reader) : rangeRoot(from, middle, reader)))
    if (index < middle) to = middle
    else from = middle
  }
  return proof.reverse()
}

/**
 * Returns the proof that the tree of the first `from` leaves is a prefix of the tree of the first `to` leaves (RFC 9162
 * §2.1.4.1). It is empty if `from` is 0 or equals `to`.
 * @throws RangeError if `from` is larger than `to`
 * @example verifyConsistency(from, to, fromRoot, toRoot, await consistencyProof(from, to, reader))
 */
export async function consistencyProof(from: number, to: number, reader: HashReader): Promise<string[]> {
  if (!(Number.isSafeInteger(from) && from >= 0 && from <= to)) throw new RangeError(`${from} is not within ${to}`)
  if (from === 0) return []
  const proof: string[] = []
  let [start, end] = [0, to]
  while (from < end) {
    const middle = start + split(end - start)
    proof.push(await (from <= middle ? rangeRoot(middle, end, reader) : rangeRoot(start, middle, reader)))
    if (from <= middle) end = middle
    else start = middle
  }
  // The verifier knows the root of the first `from` leaves. Any other subtree that ends there has to be in the proof.
  if (start > 0) proof.push(await rangeRoot(start, end, reader))
  return proof.reverse()
}

/**
 * Checks an inclusion proof (RFC 9162 §2.1.3.2).
 * @param leaf hash of the leaf
 * @param root root of the tree of `size` leaves, from a checkpoint whose signature was checked
 * @example verifyInclusion(leafHash(text), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
 */
export function verifyInclusion(
  leaf: string,
  index: number,
  size: number,
  proof: readonly string[],
  root: string,
): boolean {
  if (!(Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size)) return false
  let hash = leaf
  const isComplete = climb(index, size - 1, proof, (each, isLeft) => {
    hash = isLeft ? nodeHash(each, hash) : nodeHash(hash, each)
  })
  return isComplete && hash === root
}

/**
 * Climbs from a node to the root of the tree.
 * @param at position of the node in its level
 * @param last position of the last node in this level
 * @param visit gets each sibling, and whether it is on the left
 * @returns whether the proof ends at the root
 */
function climb(
  at: number,
  last: number,
  proof: readonly string[],
  visit: (sibling: string, isLeft: boolean) => void,
): boolean {
  for (const sibling of proof) {
    if (last === 0) return false
    const isLeft = at % 2 === 1 || at === last
    visit(sibling, isLeft)
    if (isLeft) while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)]
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0
}

/**
 * Checks a consistency proof (RFC 9162 §2.1.4.2).
 * @returns whether the tree of `from` leaves with `fromRoot` is a prefix of the tree of `to` leaves with `toRoot`
 * @example verifyConsistency(old.size, checkpoint.size, old.root, checkpoint.root, hashes)
 */
export function verifyConsistency(
  from: number,
  to: number,
  fromRoot: string,
  toRoot: string,
  proof: readonly string[],
): boolean {
  if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to)) return false
  if (from === to) return proof.length === 0 && fromRoot === toRoot && (from > 0 || fromRoot === EMPTY_ROOT)
  if (from === 0) return proof.length === 0 && fromRoot === EMPTY_ROOT
  const [first, ...rest] = split(from) * 2 === from ? [fromRoot, ...proof] : proof
  if (first === undefined) return false
  let [at, last, before, after] = [from - 1, to - 1, first, first]
  while (at % 2 === 1) [at, last] = [(at - 1) / 2, Math.floor(last / 2)]
  const isComplete = climb(at, last, rest, (sibling, isLeft) => {
    if (isLeft) before = nodeHash(sibling, before)
    after = isLeft ? nodeHash(sibling, after) : nodeHash(after, sibling)
  })
  return isComplete && before === fromRoot && after === toRoot
}
