/** Checks of the audit log that need no server: signed checkpoints, and proofs that lead to them (C2SP, RFC 9162). */

/** The note, the key or the proof does not have its format, or a signature is wrong. */
export class AuditProofError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'AuditProofError'
  }
}

/** A checkpoint with a valid signature: it commits to the first `size` entries of the log, and to their order. */
export interface VerifiedCheckpoint {
  /** Permanent name of the log. */
  origin: string
  /** Number of entries. */
  size: number
  /** Root of the tree over the entries, hex. */
  root: string
  /** Names of the keys that signed, each once: the log, and witnesses. */
  signers: string[]
}

interface Key {
  name: string
  id: string
  type: number
  bytes: Uint8Array<ArrayBuffer>
}

const LOG = 1
const WITNESS = 4
const MAX_SIGNATURES = 100
const utf8 = new TextEncoder()

/**
 * Checks the signatures of a checkpoint.
 *
 * @param note the signed note, as `audit.checkpoint()` returns it or as you kept it
 * @param vkeys verifier keys that you trust: of the log, and of witnesses whose signature you need. The key of the log must
 *   have signed; look for witnesses in `signers`
 * @throws AuditProofError if it is not a signed checkpoint, a signature of one of the keys is wrong, or the log did not sign
 * @see c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature
 * @example
 * import { verifyCheckpoint } from '@stagedoor/sdk/verify'
 *
 * const note = await stagedoor.audit.checkpoint()
 * const { size, root } = await verifyCheckpoint(note, ['app.example.com/audit/ins_1+1f2e3d4c+AQ…'])
 */
export async function verifyCheckpoint(note: string, vkeys: readonly string[]): Promise<VerifiedCheckpoint> {
  const keys = await Promise.all(vkeys.map(readKey))
  const end = note.lastIndexOf('\n\n')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a note may have none of them
  if (end < 0 || !note.endsWith('\n') || !isWellFormed(note) || /[\u0000-\u0009\u000b-\u001f]/.test(note))
    throw new AuditProofError('This is not a signed note.')
  const text = note.slice(0, end + 1)
  const lines = note.slice(end + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) throw new AuditProofError('The note has too many signatures.')
  const signers = new Map<Key, string>()
  for (const line of lines) {
    const [, name = '', base64 = ''] = /^— ([^\s+]+) (\S+)$/u.exec(line) ?? []
    const bytes = fromBase64(base64)
    if (bytes.length < 5) throw new AuditProofError('A line of the note is not a signature.')
    const key = keys.find(each => each.name === name && each.id === toHex(bytes.subarray(0, 4)))
    if (!key) continue
    if (!(await isSignedBy(key, text, bytes.subarray(4))))
      throw new AuditProofError(`The signature of ${name} is wrong.`)
    signers.set(key, name)
  }
  const checkpoint = readCheckpoint(text)
  if (![...signers.keys()].some(({ type, name }) => type === LOG && name === checkpoint.origin))
    throw new AuditProofError('None of the keys of the log signed this checkpoint.')
  return { ...checkpoint, signers: [...signers.values()] }
}

/** A proof that an event is in the log, as `auditEvents.proof()` returns it. */
export interface InclusionProof {
  /** The canonical text of the event. */
  event: string
  /** Its position in the log. */
  leafIndex: number | null
  /** Base64. */
  hashes: readonly string[]
}

/**
 * Checks that an event is in the log of a checkpoint.
 *
 * @param proof `event`, `leafIndex` and `hashes` of `auditEvents.proof()`
 * @param checkpoint from {@link verifyCheckpoint}, of the same size as the proof
 * @throws AuditProofError if a hash is not canonical base64 of 32 bytes
 * @see RFC 9162 §2.1.3.2
 * @example
 * import { verifyCheckpoint, verifyInclusion } from '@stagedoor/sdk/verify'
 *
 * const proof = await stagedoor.auditEvents.proof('evt_2f8d')
 * const checkpoint = await verifyCheckpoint(proof.checkpoint ?? '', ['app.example.com/audit/ins_1+1f2e3d4c+AQ…'])
 * if (!(await verifyInclusion(proof, checkpoint))) throw new Error('not in the log')
 */
export async function verifyInclusion(
  proof: InclusionProof,
  checkpoint: Pick<VerifiedCheckpoint, 'size' | 'root'>,
): Promise<boolean> {
  const { event, leafIndex: index, hashes } = proof
  if (index === null || !isCount(index) || !isCount(checkpoint.size) || index >= checkpoint.size) return false
  let hash = await sha256(Uint8Array.of(0), utf8.encode(event))
  const isComplete = await climb(index, checkpoint.size - 1, hashes, async (sibling, isLeft) => {
    hash = isLeft ? await node(sibling, hash) : await node(hash, sibling)
  })
  return isComplete && toHex(hash) === checkpoint.root
}

/**
 * Checks that the log of an earlier checkpoint is the beginning of the log of a later one: nothing was changed, removed,
 * inserted or moved.
 *
 * @param earlier the checkpoint that you kept, from {@link verifyCheckpoint}
 * @param later a newer checkpoint
 * @param hashes of `audit.consistency()` for these two sizes, base64
 * @throws AuditProofError if a hash is not canonical base64 of 32 bytes
 * @see RFC 9162 §2.1.4.2
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { verifyCheckpoint, verifyConsistency } from '@stagedoor/sdk/verify'
 *
 * const keys = ['app.example.com/audit/ins_1+1f2e3d4c+AQ…']
 * const kept = await verifyCheckpoint(await readFile('checkpoint-2026-11.txt', 'utf8'), keys)
 * const newest = await verifyCheckpoint(await stagedoor.audit.checkpoint(), keys)
 * const { hashes } = await stagedoor.audit.consistency(kept.size, newest.size)
 * if (!(await verifyConsistency(kept, newest, hashes))) throw new Error('the log was changed')
 */
export async function verifyConsistency(
  earlier: Pick<VerifiedCheckpoint, 'origin' | 'size' | 'root'>,
  later: Pick<VerifiedCheckpoint, 'origin' | 'size' | 'root'>,
  hashes: readonly string[],
): Promise<boolean> {
  if (earlier.origin !== later.origin || !isCount(earlier.size) || !isCount(later.size) || earlier.size > later.size)
    return false
  if (earlier.size === 0) return hashes.length === 0 && earlier.root === toHex(await sha256())
  if (earlier.size === later.size) return hashes.length === 0 && earlier.root === later.root
  let [at, last] = [earlier.size - 1, later.size - 1]
  while (at % 2 === 1) [at, last] = [(at - 1) / 2, Math.floor(last / 2)]
  // If the earlier tree is a complete subtree of the later one, the proof begins with it, unwritten.
  const [first, rest] = at === 0 ? [fromHex(earlier.root), hashes] : [readHash(hashes[0]), hashes.slice(1)]
  let [before, after] = [first, first]
  const isComplete = await climb(at, last, rest, async (sibling, isLeft) => {
    if (isLeft) before = await node(sibling, before)
    after = isLeft ? await node(sibling, after) : await node(after, sibling)
  })
  return isComplete && toHex(before) === earlier.root && toHex(after) === later.root
}

/** Climbs from a node to the root. @returns whether the proof ends there */
async function climb(
  at: number,
  last: number,
  proof: readonly string[],
  visit: (sibling: Uint8Array<ArrayBuffer>, isLeft: boolean) => Promise<void>,
): Promise<boolean> {
  for (const text of proof) {
    const sibling = readHash(text)
    if (last === 0) return false
    const isLeft = at % 2 === 1 || at === last
    await visit(sibling, isLeft)
    if (isLeft) while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)]
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0
}

async function readKey(vkey: string): Promise<Key> {
  const [, name = '', id = '', base64 = ''] = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/u.exec(vkey) ?? []
  const bytes = name === '' ? new Uint8Array() : fromBase64(base64)
  const [type = 0] = bytes
  if (bytes.length !== 33 || (type !== LOG && type !== WITNESS))
    throw new AuditProofError(`This is not a verifier key with Ed25519: ${vkey}`)
  if (toHex(await sha256(utf8.encode(`${name}\n`), bytes)).slice(0, 8) !== id)
    throw new AuditProofError(`The key id does not belong to this name and key: ${vkey}`)
  return { name, id, type, bytes: bytes.slice(1) }
}

async function isSignedBy({ type, bytes }: Key, text: string, signature: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const isWitness = type === WITNESS
  if (signature.length !== (isWitness ? 72 : 64)) return false
  const time = isWitness ? new DataView(signature.buffer, signature.byteOffset).getBigUint64(0) : 0n
  const signed = utf8.encode(isWitness ? `cosignature/v1\ntime ${time}\n${text}` : text)
  const key = await crypto.subtle.importKey('raw', bytes, 'Ed25519', false, ['verify'])
  return crypto.subtle.verify('Ed25519', key, signature.slice(isWitness ? 8 : 0), signed)
}

function readCheckpoint(text: string): { origin: string; size: number; root: string } {
  const [origin = '', size = '', root = '', ...rest] = text.split('\n')
  const isCheckpoint = rest.length === 1 && rest[0] === '' && /^[^\s+]+$/u.test(origin) && /^(0|[1-9]\d*)$/.test(size)
  if (!isCheckpoint || !isCount(Number(size))) throw new AuditProofError('The text of the note is not a checkpoint.')
  return { origin, size: Number(size), root: toHex(readHash(root)) }
}

const isCount = (number: number) => Number.isSafeInteger(number) && number >= 0

function node(left: Uint8Array<ArrayBuffer>, right: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return sha256(Uint8Array.of(1), left, right)
}

async function sha256(...parts: Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

function readHash(text = ''): Uint8Array<ArrayBuffer> {
  const bytes = fromBase64(text)
  if (bytes.length !== 32) throw new AuditProofError('A hash has 32 bytes.')
  return bytes
}

/** Accepts one text for each value: with padding, and with the unused bits set to zero. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const isBase64 = /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
  const binary = isBase64 ? atob(text) : ''
  if (!isBase64 || btoa(binary) !== text) throw new AuditProofError('This is not canonical base64.')
  return Uint8Array.from(binary, each => each.charCodeAt(0))
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], each => Number.parseInt(each, 16))
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}

/** Whether UTF-8 can write the text without replacing something. */
function isWellFormed(text: string): boolean {
  return new TextDecoder().decode(utf8.encode(text)) === text.replace(/^\ufeff/, '')
}
