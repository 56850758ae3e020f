/**
 * Makes audit/proofs.json: `node test/vectors/make-audit.ts`. The keys come from fixed seeds, so the file is the same each
 * time.
 */
import { createPrivateKey, createPublicKey, hash, type KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import {
  consistencyProof,
  type HashReader,
  inclusionProof,
  leafHash,
  rootOf,
  rootOfHashes,
  toBase64,
  toHex,
} from '../../packages/server/src/domain/audit/merkle.ts'
import {
  checkpointText,
  cosignatureLine,
  parseNote,
  signatureLine,
  signNote,
  verifierKey,
} from '../../packages/server/src/domain/audit/signed-note.ts'

const origin = 'app.example.com/audit/ins_1'
const WITNESS = 'witness.example.com/w1'
const TIME = 1_767_225_600

function keyFrom(seed: string): { privateKey: KeyObject; publicKey: KeyObject } {
  const header = Buffer.from('302e020100300506032b657004220420', 'hex')
  const key = Buffer.concat([header, Buffer.from(hash('sha256', seed), 'hex')])
  const privateKey = createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

const [log, newer, witness] = [keyFrom('log'), keyFrom('newer'), keyFrom('witness')]
const logKey = verifierKey(origin, log.publicKey)
const newerKey = verifierKey(origin, newer.publicKey)
const witnessKey = verifierKey(WITNESS, witness.publicKey, 'cosignature')

const events = Array.from({ length: 40 }, (_, n) => (n === 3 ? 'ü 🚪' : JSON.stringify({ id: `evt_${n}` })))
const leaves = events.map(leafHash)
const reader: HashReader = {
  hash: (level, index) => rootOfHashes(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level).join('')),
}
const rootAt = async (size: number) => toHex(await rootOf(size, reader))
const textAt = async (size: number) => checkpointText({ origin, size, root: await rootAt(size) })

async function notes() {
  const root = await rootAt(40)
  const text = await textAt(40)
  const note = signNote(text, origin, log.privateKey)
  const cosigned = note + cosignatureLine(text, WITNESS, witness.privateKey, TIME)
  const valid = { origin, size: 40, root, signers: [origin] }
  const signature = parseNote(note).signatures[0]?.line ?? ''
  const base64 = signature.split(' ')[2] ?? ''
  // 68 bytes leave two unused bits in the last character before "=".
  const unused = `${base64.slice(0, -2)}${String.fromCharCode(base64.charCodeAt(base64.length - 2) + 1)}=`
  const resigned = (changed: string) => signNote(changed, origin, log.privateKey)
  return [
    { comment: 'signed by the log', note, keys: [logKey], valid },
    {
      comment: 'of the empty log',
      note: resigned(await textAt(0)),
      keys: [logKey],
      valid: { ...valid, size: 0, root: await rootAt(0) },
    },
    {
      comment: 'cosigned',
      note: cosigned,
      keys: [logKey, witnessKey],
      valid: { ...valid, signers: [origin, WITNESS] },
    },
    { comment: 'an unknown signature is ignored', note: cosigned, keys: [logKey], valid },
    { comment: 'a signature twice counts once', note: `${note}${signature}\n`, keys: [logKey], valid },
    {
      comment: 'signed by two keys, one is known',
      note: note + signatureLine(text, origin, newer.privateKey),
      keys: [newerKey],
      valid,
    },
    { comment: 'only the witness is known', note: cosigned, keys: [witnessKey] },
    { comment: 'no key', note, keys: [] },
    { comment: 'another key', note, keys: [newerKey] },
    { comment: 'changed size', note: note.replace('\n40\n', '\n41\n'), keys: [logKey] },
    { comment: 'changed cosignature', note: cosigned.replace('\n40\n', '\n41\n'), keys: [witnessKey] },
    {
      comment: 'cosignature of another checkpoint',
      note: note + cosignatureLine(await textAt(39), WITNESS, witness.privateKey, TIME),
      keys: [logKey, witnessKey],
    },
    {
      comment: 'log signature with the id of a witness key',
      note: `${text}\n${cosignatureLine(text, origin, log.privateKey, TIME)}`,
      keys: [logKey],
    },
    { comment: 'unused bits in base64', note: note.replace(base64, unused), keys: [logKey] },
    { comment: 'no padding', note: note.replace(base64, base64.slice(0, -1)), keys: [logKey] },
    { comment: 'something after the last signature', note: `${note}\n`, keys: [logKey] },
    { comment: 'no line feed at the end', note: note.slice(0, -1), keys: [logKey] },
    { comment: 'CRLF', note: note.replaceAll('\n', '\r\n'), keys: [logKey] },
    { comment: 'hyphen instead of dash', note: note.replace('— ', '- '), keys: [logKey] },
    { comment: 'no signature', note: text, keys: [logKey] },
    { comment: 'leading zero', note: resigned(text.replace('\n40\n', '\n040\n')), keys: [logKey] },
    { comment: 'size above 2^53', note: resigned(text.replace('\n40\n', '\n9007199254740993\n')), keys: [logKey] },
    { comment: 'an extra line', note: resigned(`${text}more\n`), keys: [logKey] },
    { comment: 'short root', note: resigned(`${origin}\n40\nAAAA\n`), keys: [logKey] },
    {
      comment: 'origin of another log',
      note: resigned(text.replace(origin, 'other.example.com/audit/ins_2')),
      keys: [logKey],
    },
    { comment: 'key id of another key', note, keys: [logKey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')] },
    { comment: 'key of unknown type', note, keys: [logKey.replace('+A', '+B')] },
    { comment: 'no key text', note, keys: ['key'] },
  ]
}

const flip = (base64: string) => (base64.startsWith('A') ? 'B' : 'A') + base64.slice(1)

async function inclusions() {
  const list = []
  for (const size of [1, 2, 3, 7, 8, 31, 40])
    for (const index of new Set([0, 1, 2, 3, size >> 1, size - 1]))
      if (index < size) {
        const hashes = (await inclusionProof(index, size, reader)).map(toBase64)
        const proof = { size, root: await rootAt(size), index, event: events[index] ?? '', hashes }
        list.push({ comment: `entry ${index} of ${size}`, ...proof, valid: true })
        list.push({ comment: 'another entry', ...proof, event: 'other', valid: false })
        list.push({ comment: 'a much larger tree', ...proof, size: size * 4 + 4, valid: false })
        list.push({ comment: 'an index outside', ...proof, index: size, valid: false })
        list.push({ comment: 'a hash more', ...proof, hashes: [...hashes, toBase64(leaves[0] ?? '')], valid: false })
        if (hashes.length === 0) continue
        list.push({ comment: 'a hash less', ...proof, hashes: hashes.slice(1), valid: false })
        list.push({
          comment: 'a changed hash',
          ...proof,
          hashes: [flip(hashes[0] ?? ''), ...hashes.slice(1)],
          valid: false,
        })
      }
  return list
}

async function consistencies() {
  const list = []
  for (const to of [1, 2, 3, 7, 8, 31, 40])
    for (const from of new Set([0, 1, 2, 3, 4, to - 1, to]))
      if (from <= to) {
        const hashes = (await consistencyProof(from, to, reader)).map(toBase64)
        const proof = { from, from_root: await rootAt(from), to, to_root: await rootAt(to), hashes }
        list.push({ comment: `${from} in ${to}`, ...proof, valid: true })
        list.push({ comment: 'another earlier root', ...proof, from_root: toHex(leaves[39] ?? ''), valid: false })
        if (from > 0)
          list.push({ comment: 'another later root', ...proof, to_root: toHex(leaves[39] ?? ''), valid: false })
        list.push({ comment: 'a hash more', ...proof, hashes: [...hashes, toBase64(leaves[0] ?? '')], valid: false })
        if (from < to) list.push({ comment: 'the wrong way round', ...proof, from: to, to: from, valid: false })
        if (hashes.length > 0)
          list.push({
            comment: 'a changed hash',
            ...proof,
            hashes: [flip(hashes[0] ?? ''), ...hashes.slice(1)],
            valid: false,
          })
      }
  return list
}

const file = { origin, notes: await notes(), inclusions: await inclusions(), consistencies: await consistencies() }
writeFileSync(new URL('audit/proofs.json', import.meta.url), `${JSON.stringify(file, null, 1)}\n`)
