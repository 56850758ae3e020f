import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import {
  FormatError,
  fromBase64,
  fromHex,
  leafHash,
  verifyConsistency,
  verifyInclusion,
} from '../src/domain/audit/merkle.ts'
import { parseCheckpoint, parseVerifierKey, SignatureError, verifyNote } from '../src/domain/audit/signed-note.ts'

/** The proofs of `test/vectors/audit`; both SDKs are tested with the same. */
const file = JSON.parse(readFileSync(new URL('../../../test/vectors/audit/proofs.json', import.meta.url), 'utf8'))

it('the server reads the vectors as both SDKs do', () => {
  for (const { comment, note, keys, valid } of file.notes) {
    const read = () => {
      const { text, signers } = verifyNote(note, keys.map(parseVerifierKey))
      const checkpoint = parseCheckpoint(text)
      if (!signers.some(({ type, name }) => type === 'ed25519' && name === checkpoint.origin))
        throw new SignatureError('the log did not sign')
      return { ...checkpoint, signers: signers.map(({ name }) => name) }
    }
    if (valid) assert.deepEqual(read(), valid, comment)
    else assert.throws(read, (error: Error) => error instanceof FormatError || error instanceof SignatureError, comment)
  }
  for (const { comment, size, root, index, event, hashes, valid } of file.inclusions)
    assert.equal(verifyInclusion(leafHash(event), index, size, hashes.map(fromBase64), fromHex(root)), valid, comment)
  for (const { comment, from, from_root, to, to_root, hashes, valid } of file.consistencies) {
    const roots = [fromHex(from_root), fromHex(to_root)] as const
    assert.equal(verifyConsistency(from, to, ...roots, hashes.map(fromBase64)), valid, comment)
  }
})
