import { hash } from 'node:crypto'
import { FormatError, fromHex, leafHash, verifyInclusion } from './merkle.ts'
import {
  type Checkpoint,
  parseCheckpoint,
  parseVerifierKey,
  SignatureError,
  signersOf,
  verifyNote,
} from './signed-note.ts'
import { parseProof } from './tiles.ts'

export interface VerifiedProof {
  /** `unchecked` if too few witnesses signed. */
  result: 'proved' | 'tampered' | 'unchecked'
  /** Why it is not proved. */
  message: string | null
  /** Leaf index of the event. */
  index: number | null
  checkpoint: Checkpoint | null
  /** Names of the witnesses that signed the checkpoint. */
  witnesses: readonly string[]
  /** The personal text, if the proof has one and it belongs to the event. */
  personal: string | null
}

/**
 * Checks a proof that an event is in the log, offline.
 * @param proof text of a `.tlog-proof` file
 * @param texts of the event; one of them must be proved
 * @param trusted verifier keys of the log and of witnesses, and how many witnesses must have signed
 * @throws FormatError if one of the keys is not a verifier key
 * @example verifyProof(proof, [event], { keys: [vkey], witnesses: [], quorum: 0 }).result === 'proved'
 */
export function verifyProof(
  proof: string,
  texts: readonly string[],
  trusted: { keys: readonly string[]; witnesses: readonly string[]; quorum: number },
): VerifiedProof {
  const keys = trusted.keys.map(parseVerifierKey)
  const cosigners = trusted.witnesses.map(parseVerifierKey)
  const nothing = { index: null, checkpoint: null, witnesses: [], personal: null }
  const failed = (message: string): VerifiedProof => ({ result: 'tampered', message, ...nothing })
  try {
    const { index, hashes, checkpoint: note, extra } = parseProof(proof)
    const parsed = verifyNote(note, keys)
    const checkpoint = parseCheckpoint(parsed.text)
    const isIn = (text: string) =>
      verifyInclusion(leafHash(text), index, checkpoint.size, hashes, fromHex(checkpoint.root))
    const text = texts.find(isIn)
    if (text === undefined) return failed('the event is not what the log has at this place')
    if (extra !== undefined && personalHashOf(text) !== hash('sha256', extra))
      return failed('the personal text does not belong to the event')
    const witnesses = signersOf(parsed, cosigners).map(({ name }) => name)
    const found = { index, checkpoint, witnesses, personal: extra ?? null }
    if (witnesses.length >= trusted.quorum) return { result: 'proved', message: null, ...found }
    const message = `${witnesses.length} of the witnesses signed the checkpoint, not ${trusted.quorum}`
    return { result: 'unchecked', message, ...found }
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof SignatureError)) throw error
    return failed(error.message)
  }
}

function personalHashOf(text: string): unknown {
  try {
    return (JSON.parse(text) as { personal_hash?: unknown }).personal_hash
  } catch {
    return undefined
  }
}
