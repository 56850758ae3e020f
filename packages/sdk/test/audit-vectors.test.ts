import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import {
  AuditProofError,
  type VerifiedCheckpoint,
  verifyCheckpoint,
  verifyConsistency,
  verifyInclusion,
} from '@stagedoor/sdk/verify'

/** The proofs of `test/vectors/audit`, valid and invalid; the Python package and the server are tested with the same. */
interface Vectors {
  origin: string
  notes: { comment: string; note: string; keys: string[]; valid?: VerifiedCheckpoint }[]
  inclusions: {
    comment: string
    size: number
    root: string
    index: number
    event: string
    hashes: string[]
    valid: boolean
  }[]
  consistencies: {
    comment: string
    from: number
    from_root: string
    to: number
    to_root: string
    hashes: string[]
    valid: boolean
  }[]
}
const file = new URL('../../../test/vectors/audit/proofs.json', import.meta.url)
const { origin, notes, inclusions, consistencies }: Vectors = JSON.parse(readFileSync(file, 'utf8'))

describe('proofs of the audit log', () => {
  it('checkpoints', async () => {
    for (const { comment, note, keys, valid } of notes) {
      if (valid) assert.deepEqual(await verifyCheckpoint(note, keys), valid, comment)
      else await assert.rejects(verifyCheckpoint(note, keys), AuditProofError, comment)
    }
    await assert.rejects(verifyCheckpoint('\ud800\n\n— a b\n', []), AuditProofError)
  })

  it('inclusion', async () => {
    for (const { comment, size, root, index: leafIndex, event, hashes, valid } of inclusions)
      assert.equal(await verifyInclusion({ event, leafIndex, hashes }, { size, root }), valid, comment)
    assert.equal(await verifyInclusion({ event: '', leafIndex: null, hashes: [] }, { size: 1, root: '' }), false)
  })

  it('consistency', async () => {
    for (const { comment, from, from_root, to, to_root, hashes, valid } of consistencies) {
      const [earlier, later] = [
        { origin, size: from, root: from_root },
        { origin, size: to, root: to_root },
      ]
      assert.equal(await verifyConsistency(earlier, later, hashes), valid, comment)
      assert.equal(await verifyConsistency(earlier, { ...later, origin: 'other' }, hashes), false, comment)
    }
    const checkpoint = { origin, size: 3, root: 'aa'.repeat(32) }
    await assert.rejects(verifyConsistency(checkpoint, { ...checkpoint, size: 5 }, ['AAAA']), AuditProofError)
    await assert.rejects(verifyConsistency(checkpoint, { ...checkpoint, size: 5 }, []), AuditProofError)
  })
})
