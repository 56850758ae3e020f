import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { times } from '../../../test/support/deep.ts'
import { EMPTY_ROOT, FormatError, leafHash, toHex } from '../src/domain/audit/merkle.ts'
import {
  checkpointText,
  cosignatureLine,
  isKeyName,
  parseCheckpoint,
  parseNote,
  parseVerifierKey,
  SignatureError,
  signatureLine,
  signNote,
  verifierKey,
  verifyNote,
} from '../src/domain/audit/signed-note.ts'
import {
  decodeEntries,
  encodeEntries,
  formatProof,
  parseProof,
  parseTilePath,
  personalPath,
  tilePath,
  tileWidth,
} from '../src/domain/audit/tiles.ts'

const origin = 'app.example.com/audit/ins_1'
const log = generateKeyPairSync('ed25519')
const witness = generateKeyPairSync('ed25519')
const vkey = parseVerifierKey(verifierKey(origin, log.publicKey))
const witnessKey = parseVerifierKey(verifierKey('witness.test/w1', witness.publicKey, 'cosignature'))
const checkpoint = { origin, size: 7, root: toHex(EMPTY_ROOT) }
const text = checkpointText(checkpoint)
const note = signNote(text, origin, log.privateKey)

describe('signed notes', () => {
  it('reads the note and the key of the documentation of golang.org/x/mod/sumdb/note', () => {
    const key = parseVerifierKey('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')
    const signed =
      'If you think cryptography is the answer to your problem,\n' +
      "then you don't know what your problem is.\n\n" +
      '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'
    assert.deepEqual(
      verifyNote(signed, [key]).signers.map(({ name }) => name),
      ['PeterNeumann'],
    )
    assert.throws(() => verifyNote(signed.replace('answer', 'Answer'), [key]), SignatureError)
    const seed = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1)
    const privateKey = createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
      format: 'der',
      type: 'pkcs8',
    })
    assert.equal(verifierKey('PeterNeumann', createPublicKey(privateKey)), key.vkey)
    assert.equal(signNote(parseNote(signed).text, 'PeterNeumann', privateKey), signed)
  })

  it('checks the log and its witnesses, and ignores unknown keys', () => {
    assert.deepEqual(parseCheckpoint(note), checkpoint)
    assert.deepEqual(parseCheckpoint(text), checkpoint)
    const cosigned = note + cosignatureLine(text, witnessKey.name, witness.privateKey, 1_767_225_600)
    assert.deepEqual(
      verifyNote(cosigned, [vkey, witnessKey]).signers.map(({ name, type, time }) => [name, type, time]),
      [
        [origin, 'ed25519', undefined],
        ['witness.test/w1', 'cosignature', 1_767_225_600],
      ],
    )
    assert.equal(verifyNote(`${cosigned}${cosigned.split('\n').at(-2)}\n`, [witnessKey]).signers.length, 1)
    assert.equal(verifyNote(cosigned, [vkey]).signers.length, 1)
    assert.throws(() => verifyNote(note, [witnessKey]), SignatureError)
    // The same key under another name, or for the other purpose, has another key id.
    const renamed = signatureLine(text, 'other', log.privateKey)
    assert.throws(() => verifyNote(`${text}\n${renamed}`, [vkey]), SignatureError)
    const asWitness = cosignatureLine(text, origin, log.privateKey, 1)
    assert.throws(() => verifyNote(`${text}\n${asWitness}`, [vkey]), SignatureError)
  })

  it('refuses every changed bit of a note', () => {
    const cosigned = note + cosignatureLine(text, witnessKey.name, witness.privateKey, 1_767_225_600)
    const bytes = Buffer.from(cosigned)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = Buffer.from(bytes)
      forged.writeUInt8(forged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      const signers = () => {
        const read = forged.toString()
        return Buffer.from(read).equals(forged) ? verifyNote(read, [vkey, witnessKey]).signers.length : 0
      }
      const count = (() => {
        try {
          return signers()
        } catch (error) {
          assert.ok(error instanceof FormatError || error instanceof SignatureError)
          return 0
        }
      })()
      // A changed name or key id makes a signature of an unknown key, which does not count.
      assert.ok(count < 2, `bit ${bit} of ${JSON.stringify(forged.toString())}`)
    }
  })

  it('refuses what is not a note', () => {
    const [, signature = ''] = note.split('\n\n')
    const bad = [
      '',
      text,
      `${text}\n`,
      note.trimEnd(),
      `${note}\n`,
      `${note} `,
      note.replaceAll('\n', '\r\n'),
      `${note}x\n`,
      `${text}\n${signature.replace('— ', '- ')}`,
      `${text}\n${signature.replace('—  ', '—')}`.replace('— ', '—'),
      `${text}\n${signature.replace(' ', '  ')}`,
      `${text}\n— ${origin} AAAA\n`,
      `\ud800${note}`,
      `a\tb\n\n${signature}`,
    ]
    for (const each of bad) assert.throws(() => parseNote(each), FormatError, JSON.stringify(each))
    const root = text.split('\n')[2]
    const texts = [
      `${origin}\n7\n${root}`,
      `${origin}\n07\n${root}\n`,
      `${origin}\n-7\n${root}\n`,
      `${origin}\n7\n${root}\nmore\n`,
      `${origin}\n9007199254740993\n${root}\n`,
      `\n7\n${root}\n`,
      `a b\n7\n${root}\n`,
      `${origin}\n7\nAAAA\n`,
    ]
    for (const each of texts) assert.throws(() => parseCheckpoint(each), FormatError, JSON.stringify(each))
  })

  it('refuses what is not a key', () => {
    const [name = '', id = '', ...rest] = vkey.vkey.split('+')
    // Base64 has "+" too.
    const key = rest.join('+')
    const bad = [
      '',
      name,
      `${name}+${id}`,
      `${name}x+${id}+${key}`,
      `${name}+00000000+${key}`,
      `${name}+${id.toUpperCase()}x+${key}`,
      `${name}+${id}+${key}=`,
      `${name}+${id}+B${key.slice(1)}`,
      `+${id}+${key}`,
      `${vkey.vkey}\n`,
      ` ${vkey.vkey}`,
    ]
    for (const each of bad) assert.throws(() => parseVerifierKey(each), FormatError, each)
    assert.throws(() => verifierKey('a b', log.publicKey), FormatError)
    assert.throws(() => verifierKey('a', new Uint8Array(31)), FormatError)
    for (const each of ['', 'a+b', 'a b', 'a\u00a0b', 'a\u0007', '\ud800']) assert.equal(isKeyName(each), false)
  })
})

describe('tiles, bundles and proofs', () => {
  it('has one path for each tile', () => {
    assert.equal(tilePath(0, 1_234_067, 256), 'tile/0/x001/x234/067')
    assert.equal(tilePath('entries', 3, 12), 'tile/entries/003.p/12')
    assert.equal(tilePath(1, 1000, 256), 'tile/1/x001/000')
    assert.equal(personalPath(3, 12), 'personal/003.p/12.jsonl')
    const level = fc.oneof(fc.constant('entries' as const), fc.nat(5))
    fc.assert(
      fc.property(level, fc.nat(2_000_000_000), fc.integer({ min: 1, max: 256 }), (level, n, width) => {
        assert.deepEqual(parseTilePath(tilePath(level, n, width)), { level, n, width })
      }),
    )
    const bad = [
      '',
      'tile/0/1',
      'tile/0/0001',
      'tile/0/001.p/0',
      'tile/0/001.p/256',
      'tile/0/001.p/012',
      'tile/0/x000/001',
      'tile/6/001',
      'tile/00/001',
      'tile/0/../001',
      'tile/0/001/',
      'tile/x/001',
      'tile/0/001/002',
      '/tile/0/001',
      'tile/0/x001/x234/x067',
      `tile/0/${'x999/'.repeat(6)}999`,
      'tile/0/001\n',
    ]
    for (const each of bad) assert.equal(parseTilePath(each), undefined, each)
    assert.deepEqual(
      [tileWidth(0, 0, 300), tileWidth(0, 1, 300), tileWidth(0, 2, 300), tileWidth(1, 0, 300)],
      [256, 44, 0, 1],
    )
    assert.deepEqual([tileWidth('entries', 1, 300), tileWidth(1, 0, 0)], [44, 0])
  })

  it('reads what it writes, and nothing else', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 256 })
    fc.assert(
      fc.property(texts, texts => {
        const bytes = encodeEntries(texts)
        assert.deepEqual(decodeEntries(bytes), texts)
        if (bytes.length > 0 && (texts.at(-1) ?? '') !== '')
          assert.throws(() => decodeEntries(bytes.subarray(0, -1)), FormatError)
      }),
      { numRuns: times(100, 2000) },
    )
    assert.throws(() => decodeEntries(Buffer.of(0)), FormatError)
    assert.throws(() => decodeEntries(Buffer.of(0, 1, 0xff)), FormatError)
    assert.deepEqual(decodeEntries(encodeEntries(['\ufffd', '\ufeffa'])), ['\ufffd', '\ufeffa'])
    assert.throws(() => encodeEntries(['x'.repeat(65_536)]), FormatError)
  })

  it('reads a proof that it wrote, and nothing else', () => {
    const proof = { index: 3, hashes: [leafHash('a'), leafHash('b')], checkpoint: note, extra: '{"a":"é"}' }
    const written = formatProof(proof)
    assert.ok(written.startsWith('c2sp.org/tlog-proof@v1\nextra eyJhIjoiw6kifQ==\nindex 3\n'))
    assert.deepEqual(parseProof(written), proof)
    const alone = { index: 0, hashes: [], checkpoint: note, extra: undefined }
    assert.deepEqual(parseProof(formatProof(alone)), alone)
    const bad = [
      '',
      note,
      written.replace('@v1', '@v2'),
      written.replace('index 3', 'index 03'),
      written.replace('index 3\n', ''),
      written.slice(0, -1),
      `${written}\n`,
      written.replace('extra e', 'extra  e'),
      written.replace('Q==', 'R=='),
    ]
    for (const each of bad) assert.throws(() => parseProof(each), FormatError, each)
  })
})
