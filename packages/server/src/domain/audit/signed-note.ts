import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'
import { bytesOfBase64, FormatError, fromBase64, fromHex, toBase64, toHex } from './merkle.ts'

/** Signed notes, checkpoints and cosignatures, as C2SP specifies them (c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature). */

/** A known key signed something else, or no known key signed this note. */
export class SignatureError extends Error {}

export interface NoteSignature {
  name: string
  /** First four bytes of the hash of name and key, hex. */
  key_id: string
  /** What follows the key id. */
  bytes: Buffer
  /** The line as it was written, without its line feed. */
  line: string
}

export interface Note {
  /** What is signed, with its line feed at the end. */
  text: string
  signatures: readonly NoteSignature[]
}

export interface Checkpoint {
  origin: string
  size: number
  /** Root of the tree, hex. */
  root: string
}

/** Type of a key: it signs notes (a log), or cosigns checkpoints (a witness). */
export type KeyType = 'ed25519' | 'cosignature'

export interface VerifierKey {
  name: string
  type: KeyType
  /** Hex. */
  key_id: string
  key: KeyObject
  /** The text that it was read from. */
  vkey: string
}

export interface Signer {
  name: string
  vkey: string
  type: KeyType
  /** When a witness cosigned, in seconds; undefined for a log. */
  time: number | undefined
}

const SIGNATURE_MARK = '— '
const MAX_SIGNATURES = 100
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
const TIME_BYTES = 8
const TYPE_BYTE: Readonly<Record<KeyType, number>> = { ed25519: 0x01, cosignature: 0x04 }
/** What comes before the 32 bytes of an Ed25519 public key in DER (RFC 8410). */
const DER_HEADER = Buffer.from('302a300506032b6570032100', 'hex')

/**
 * Reads a signed note, without checking signatures. It accepts one text for each note: canonical base64, and nothing
 * after the last signature.
 * @throws FormatError
 * @example parseNote(await readFile('checkpoint', 'utf8')).signatures[0]?.name
 */
export function parseNote(note: string): Note {
  const end = note.lastIndexOf('\n\n')
  if (end < 0 || !note.endsWith('\n') || end + 2 === note.length)
    throw new FormatError('a signed note is a text, an empty line, and lines with signatures')
  if (!note.isWellFormed() || hasControlCharacter(note)) throw new FormatError('a signed note has only printable text')
  const lines = note.slice(end + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) throw new FormatError(`a signed note has at most ${MAX_SIGNATURES} signatures`)
  return { text: note.slice(0, end + 1), signatures: lines.map(parseSignature) }
}

function hasControlCharacter(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < 0x20 && code !== 0x0a) return true
  }
  return false
}

function parseSignature(line: string): NoteSignature {
  const [name = '', base64 = '', ...rest] = line.slice(SIGNATURE_MARK.length).split(' ')
  if (!line.startsWith(SIGNATURE_MARK) || !isKeyName(name) || rest.length > 0)
    throw new FormatError('a signature line is a dash, the name of a key, and base64')
  const bytes = bytesOfBase64(base64)
  if (bytes.length < 5) throw new FormatError('a signature is too short')
  return { name, key_id: bytes.toString('hex', 0, 4), bytes: bytes.subarray(4), line }
}

/**
 * Returns whether a text can name a key: it is not empty and has no white space and no "+".
 * @example isKeyName('stagedoor.example.com/audit/ins_…') // true
 */
export function isKeyName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\s+\p{Cc}]/u.test(name)
}

/**
 * Returns the text of a checkpoint, which is then signed.
 * @example checkpointText({ origin: 'app.example.com/audit/ins_1', size: 0, root: toHex(EMPTY_ROOT) })
 */
export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${toBase64(fromHex(root))}\n`
}

/**
 * Reads a checkpoint, without checking signatures.
 * @param note a signed note, or only its text
 * @throws FormatError
 * @example const { origin, size, root } = parseCheckpoint(note)
 */
export function parseCheckpoint(note: string): Checkpoint {
  const text = note.includes('\n\n') ? parseNote(note).text : note
  const [origin = '', size = '', root = '', ...rest] = text.split('\n')
  if (rest.length !== 1 || rest[0] !== '') throw new FormatError('a checkpoint has three lines: origin, size and root')
  if (!isKeyName(origin)) throw new FormatError('the first line of a checkpoint is the origin of the log')
  return { origin, size: parseNumber(size), root: toHex(fromBase64(root)) }
}

/** Reads a number as C2SP writes it: decimal, without leading zeros. @throws FormatError @example parseNumber('12') */
export function parseNumber(text: string): number {
  const number = Number(text)
  if (!/^(0|[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(number)) throw new FormatError(`no number: ${text}`)
  return number
}

/**
 * Returns the text of a public key by which others can check signatures.
 * @param publicKey 32 bytes, or a key of node:crypto
 * @throws FormatError if the name has white space or "+"
 * @example verifierKey('app.example.com/audit/ins_1', publicKey) // 'app.example.com/audit/ins_1+1f2e3d4c+AQ…'
 */
export function verifierKey(name: string, publicKey: Uint8Array | KeyObject, type: KeyType = 'ed25519'): string {
  if (!isKeyName(name)) throw new FormatError('the name of a key has no white space and no "+"')
  const bytes = typed(type, rawKey(publicKey))
  return `${name}+${keyId(name, bytes)}+${bytes.toString('base64')}`
}

/**
 * Reads the text of a public key.
 * @throws FormatError also if the key id does not fit name and key
 * @example verifyNote(note, [parseVerifierKey(vkey)])
 */
export function parseVerifierKey(vkey: string): VerifierKey {
  const [, name = '', key_id = '', base64 = ''] = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(vkey) ?? []
  if (!isKeyName(name)) throw new FormatError('a verifier key is <name>+<key id>+<base64>')
  const bytes = bytesOfBase64(base64)
  const type = (['ed25519', 'cosignature'] as const).find(each => TYPE_BYTE[each] === bytes[0])
  if (type === undefined || bytes.length !== 1 + KEY_BYTES)
    throw new FormatError('only Ed25519 keys and cosignature/v1 keys are supported')
  if (keyId(name, bytes) !== key_id) throw new FormatError('the key id does not belong to this name and key')
  const key = createPublicKey({ key: Buffer.concat([DER_HEADER, bytes.subarray(1)]), format: 'der', type: 'spki' })
  return { name, type, key_id, key, vkey }
}

function rawKey(key: Uint8Array | KeyObject): Uint8Array {
  const raw = key instanceof Uint8Array ? key : key.export({ format: 'der', type: 'spki' }).subarray(DER_HEADER.length)
  if (raw.length !== KEY_BYTES) throw new FormatError('an Ed25519 public key has 32 bytes')
  return raw
}

function typed(type: KeyType, key: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(TYPE_BYTE[type]), key])
}

function keyId(name: string, typedKey: Uint8Array): string {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typedKey])).slice(0, 8)
}

/**
 * Signs a text. To sign with two keys, append the `signatureLine` of the second.
 * @param text what to sign; it ends with a line feed
 * @param privateKey an Ed25519 key
 * @example const note = signNote(checkpointText(checkpoint), checkpoint.origin, privateKey)
 */
export function signNote(text: string, name: string, privateKey: KeyObject): string {
  return `${text}\n${signatureLine(text, name, privateKey)}`
}

/**
 * Returns the line with the signature of a text, with its line feed.
 * @example `${note}${signatureLine(parseNote(note).text, name, newKey)}`
 */
export function signatureLine(text: string, name: string, privateKey: KeyObject): string {
  return line(name, 'ed25519', privateKey, sign(null, Buffer.from(text), privateKey))
}

/**
 * Returns the line with which a witness cosigns a checkpoint, with its line feed (cosignature/v1).
 * @param time in seconds
 * @example `${note}${cosignatureLine(parseNote(note).text, 'witness.example.com/w1', key, 1767225600)}`
 */
export function cosignatureLine(text: string, name: string, privateKey: KeyObject, time: number): string {
  const at = Buffer.alloc(TIME_BYTES)
  at.writeBigUInt64BE(BigInt(time))
  const signature = sign(null, cosigned(text, time), privateKey)
  return line(name, 'cosignature', privateKey, Buffer.concat([at, signature]))
}

function cosigned(text: string, time: bigint | number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${time}\n${text}`)
}

function line(name: string, type: KeyType, privateKey: KeyObject, signature: Uint8Array): string {
  const id = keyId(name, typed(type, rawKey(createPublicKey(privateKey))))
  return `${SIGNATURE_MARK}${name} ${Buffer.concat([Buffer.from(id, 'hex'), signature]).toString('base64')}\n`
}

/**
 * Checks the signatures of a note that were made by known keys. Signatures of other keys are ignored.
 * @param keys of the log, or of witnesses
 * @returns the keys that signed, each once
 * @throws FormatError if it is not a signed note
 * @throws SignatureError if a signature of a known key is wrong, or none of the keys signed
 * @example const { signers } = verifyNote(note, [parseVerifierKey(vkey)])
 */
export function verifyNote(note: string, keys: readonly VerifierKey[]): Note & { signers: readonly Signer[] } {
  const parsed = parseNote(note)
  const signers = signersOf(parsed, keys)
  if (signers.length === 0) throw new SignatureError('none of the known keys signed this note')
  return { ...parsed, signers }
}

/**
 * Returns which of the keys signed a note, each once; perhaps none.
 * @throws SignatureError if a signature of a known key is wrong
 * @example signersOf(parseNote(note), witnesses).length >= quorum
 */
export function signersOf({ text, signatures }: Note, keys: readonly VerifierKey[]): Signer[] {
  const signers = new Map<VerifierKey, Signer>()
  for (const signature of signatures) {
    const key = keys.find(({ name, key_id }) => name === signature.name && key_id === signature.key_id)
    if (!key) continue
    const time = signedAt(text, signature, key)
    if (!signers.has(key)) signers.set(key, { name: key.name, vkey: key.vkey, type: key.type, time })
  }
  return [...signers.values()]
}

/** Returns the time of a cosignature; undefined for a signature of a log. */
function signedAt(text: string, { bytes }: NoteSignature, { name, type, key }: VerifierKey): number | undefined {
  const isLog = type === 'ed25519'
  const time = isLog || bytes.length < TIME_BYTES ? undefined : bytes.readBigUInt64BE()
  const signature = isLog ? bytes : bytes.subarray(TIME_BYTES)
  const signed = time === undefined ? Buffer.from(text) : cosigned(text, time)
  if (signature.length !== SIGNATURE_BYTES || (!isLog && time === undefined) || !verify(null, signed, key, signature))
    throw new SignatureError(`the signature of ${name} is wrong`)
  return time === undefined ? undefined : Number(time)
}
