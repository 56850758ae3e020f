import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { times } from '../../../test/support/deep.ts'
import {
  consistencyProof,
  Edge,
  EMPTY_ROOT,
  FormatError,
  type FullTile,
  fromBase64,
  fromHex,
  type HashReader,
  inclusionProof,
  leafHash,
  nodeHash,
  rootOf,
  rootOfHashes,
  toBase64,
  toHex,
  verifyConsistency,
  verifyInclusion,
} from '../src/domain/audit/merkle.ts'
import { tileHashes } from '../src/domain/audit/tiles.ts'

/** The leaves and roots of the test data of RFC 6962's authors (google/certificate-transparency, merkletree). */
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

/** The definition of RFC 9162 §2.1.1, word for word. */
function definedRoot(leaves: readonly string[]): string {
  const [first] = leaves
  if (first === undefined) return EMPTY_ROOT
  if (leaves.length === 1) return first
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return nodeHash(definedRoot(leaves.slice(0, k)), definedRoot(leaves.slice(k)))
}

const some = (count: number) => Array.from({ length: count }, (_, at) => leafHash(`leaf ${at}`))
const readerOf = (leaves: readonly string[]): HashReader => ({
  hash: (level, index) => definedRoot(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)),
})
const flip = (hash: string) => String.fromCharCode(hash.charCodeAt(0) ^ 1) + hash.slice(1)

describe('the Merkle tree of the audit log', () => {
  it('has the roots of RFC 6962', () => {
    const edge = Edge.empty()
    assert.equal(toHex(edge.root()), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    for (const [at, leaf] of LEAVES.entries()) {
      assert.deepEqual(edge.append(leafHash(Buffer.from(leaf, 'hex').toString('latin1'))), [])
      assert.equal(toHex(edge.root()), ROOTS[at])
    }
    assert.equal(edge.size, 8)
  })

  it('has the proofs of RFC 6962', async () => {
    const reader = readerOf(LEAVES.map(leaf => leafHash(Buffer.from(leaf, 'hex').toString('latin1'))))
    assert.deepEqual((await inclusionProof(5, 8, reader)).map(toHex), [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ])
    assert.deepEqual((await consistencyProof(6, 8, reader)).map(toHex), [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ])
  })

  it('has the root of the definition, also when its edge is copied and restored, and gives full tiles', async () => {
    const leaves = some(66_000)
    const edge = Edge.empty()
    const tiles = new Map<string, FullTile>()
    const sizes = new Set([1, 2, 255, 256, 257, 511, 512, 5000, 65_535, 65_536, 65_537, 66_000])
    for (const leaf of leaves) {
      for (const tile of edge.append(leaf)) tiles.set(`${tile.level}/${tile.tile}`, tile)
      if (!sizes.has(edge.size)) continue
      const root = definedRoot(leaves.slice(0, edge.size))
      assert.equal(edge.root(), root)
      assert.equal(edge.copy().root(), root)
      assert.equal(Edge.of(edge.size, edge.levels()).root(), root)
      const borders = edge.levels()
      const reader = tileHashes(edge.size, (level, n, width) =>
        width === 256 ? (tiles.get(`${level}/${n}`)?.hashes ?? '') : (borders[level] ?? []).slice(0, width).join(''),
      )
      assert.equal(await rootOf(edge.size, reader), root)
      assert.equal(rootOfHashes(leaves.slice(0, edge.size).join('')), root)
    }
    assert.equal(tiles.size, 257 + 1)
    for (const { hashes, root } of tiles.values()) {
      assert.equal(hashes.length, 8192)
      assert.equal(rootOfHashes(hashes), root)
    }
    const copy = edge.copy()
    copy.append(leafHash('another'))
    assert.notEqual(copy.root(), edge.root())
    assert.throws(() => Edge.of(3, [[EMPTY_ROOT]]), FormatError)
  })

  it('proves each leaf and each prefix, and nothing else', async () => {
    const leaves = some(40)
    const reader = readerOf(leaves)
    for (let size = 1; size <= leaves.length; size++) {
      const root = await rootOf(size, reader)
      for (let index = 0; index < size; index++) {
        const proof = await inclusionProof(index, size, reader)
        const leaf = leaves[index] ?? ''
        assert.equal(verifyInclusion(leaf, index, size, proof, root), true)
        for (let other = 0; other <= size; other++)
          if (other !== index) assert.equal(verifyInclusion(leaf, other, size, proof, root), false)
      }
      for (let from = 0; from <= size; from++) {
        const before = await rootOf(from, reader)
        const proof = await consistencyProof(from, size, reader)
        assert.equal(verifyConsistency(from, size, before, root, proof), true)
        assert.equal(verifyConsistency(from, size, flip(before), root, proof), false)
        if (from > 0) assert.equal(verifyConsistency(from, size, before, flip(root), proof), false)
      }
    }
    await assert.rejects(inclusionProof(40, 40, reader), RangeError)
    await assert.rejects(consistencyProof(41, 40, reader), RangeError)
  })

  it('refuses every changed proof', async () => {
    const leaves = some(3000)
    const reader = readerOf(leaves)
    const edit = fc.record({ kind: fc.constantFrom('flip', 'drop', 'add', 'swap'), at: fc.nat(30) })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3000 }), fc.nat(2999), edit, async (size, some, { kind, at }) => {
        const index = some % size
        const root = await rootOf(size, reader)
        const forge = (proof: readonly string[]): string[] => {
          const forged = [...proof]
          const place = at % Math.max(1, forged.length)
          if (kind === 'add') forged.splice(place, 0, EMPTY_ROOT)
          else if (kind === 'drop') forged.splice(place, 1)
          else if (kind === 'flip') forged.splice(place, 1, flip(forged[place] ?? EMPTY_ROOT))
          else forged.reverse()
          return forged
        }
        const included = await inclusionProof(index, size, reader)
        const isSame = (forged: readonly string[], proof: readonly string[]) => forged.join() === proof.join()
        assert.equal(verifyInclusion(leaves[index] ?? '', index, size, included, root), true)
        const forged = forge(included)
        assert.equal(verifyInclusion(leaves[index] ?? '', index, size, forged, root), isSame(forged, included))
        const before = await rootOf(index, reader)
        const consistent = await consistencyProof(index, size, reader)
        assert.equal(verifyConsistency(index, size, before, root, consistent), true)
        const changed = forge(consistent)
        assert.equal(verifyConsistency(index, size, before, root, changed), isSame(changed, consistent))
      }),
      { numRuns: times(100, 2000) },
    )
  })

  it('reads a hash from one text only', () => {
    const hash = leafHash('a')
    assert.equal(fromHex(toHex(hash)), hash)
    assert.equal(fromBase64(toBase64(hash)), hash)
    for (const text of ['', toHex(hash).toUpperCase(), `${toHex(hash)}0`, toHex(hash).slice(2)])
      assert.throws(() => fromHex(text), FormatError)
    const base64 = toBase64(hash)
    // The last character before "=" has two unused bits.
    const unused = `${base64.slice(0, -2)}${String.fromCharCode(base64.charCodeAt(base64.length - 2) + 1)}=`
    for (const text of ['', base64.slice(0, -1), `${base64}\n`, ` ${base64}`, unused, 'AQI='])
      assert.throws(() => fromBase64(text), FormatError)
  })
})
