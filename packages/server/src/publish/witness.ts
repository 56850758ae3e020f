import { HistoryError, type LogReader, type StoredCheckpoint } from '../domain/audit/log-reader.ts'
import { consistencyProof, toBase64 } from '../domain/audit/merkle.ts'
import type { CheckpointHolder } from '../domain/audit/publish.ts'
import {
  parseNote,
  parseNumber,
  parseVerifierKey,
  SignatureError,
  signersOf,
  type VerifierKey,
} from '../domain/audit/signed-note.ts'
import { tileHashes } from '../domain/audit/tiles.ts'

/** Timeout of one request, in ms. */
const TIMEOUT = 10_000
/** Maximum length of an answer, in bytes. */
const MAX_ANSWER = 16_384
/** Attempts with the size that the witness names. */
const ATTEMPTS = 3

interface Options {
  vkey: string
  url: string
  fetch?: typeof fetch
}

/**
 * Asks a witness to cosign checkpoints (c2sp.org/tlog-witness). The witness signs only what continues the tree that it
 * signed before, so no server can show it a second history.
 * @param options `vkey` of the witness and the URL of its API
 * @example witness({ vkey: 'witness.example.com/w1+…', url: 'https://witness.example.com' })
 */
export function witness({ vkey, url, fetch: send = fetch }: Options): CheckpointHolder {
  const key = parseVerifierKey(vkey)
  /** Size of the tree that the witness signed last, as far as we know. */
  let signed = 0

  async function add(reader: LogReader, checkpoint: StoredCheckpoint): Promise<string | number> {
    const hashes = tileHashes(checkpoint.size, (level, n, width) => reader.tile(level, n, width))
    const proof = await consistencyProof(signed, checkpoint.size, hashes)
    const body = [`old ${signed}`, ...proof.map(toBase64), '', checkpoint.note].join('\n')
    const answer = await send(`${url.replace(/\/$/, '')}/add-checkpoint`, {
      method: 'POST',
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT),
    })
    const text = await limitedText(answer)
    if (answer.status === 200) return cosignatureIn(text, checkpoint.note, key)
    if (answer.status === 409) return parseNumber(text.trim())
    if (answer.status === 422)
      throw new HistoryError(`the witness ${key.name} signed another history of the first ${signed} entries`)
    throw new Error(`the witness ${key.name} answered ${answer.status}: ${text.slice(0, 200)}`)
  }

  return {
    name: key.name,
    check: async () => {},
    async hold(reader, newest) {
      if (signersOf(parseNote(newest.note + newest.cosignatures), [key]).length > 0) return undefined
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const { size } = await reader.tree()
        if (signed > size)
          throw new HistoryError(
            `entries ${size}.. are gone: the log was rolled back (the witness ${key.name} signed ${signed} entries)`,
          )
        // Another node was faster, with a larger tree.
        if (signed > newest.size) return undefined
        const answer = await add(reader, newest)
        signed = typeof answer === 'string' ? newest.size : answer
        if (typeof answer === 'string') return answer
      }
      throw new Error(`the witness ${key.name} names another size each time`)
    },
  }
}

/** Returns the line of the answer that this witness signed. @throws SignatureError */
function cosignatureIn(answer: string, note: string, key: VerifierKey): string {
  const { text } = parseNote(note)
  const signatures = parseNote(`${text}\n${answer}`).signatures.filter(
    ({ name, key_id }) => name === key.name && key_id === key.key_id,
  )
  const [signature] = signatures
  if (!signature || signersOf({ text, signatures }, [key]).length === 0)
    throw new SignatureError(`the answer of the witness ${key.name} has no signature of its key`)
  return `${signature.line}\n`
}

async function limitedText(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of answer.body ?? []) {
    length += chunk.length
    if (length > MAX_ANSWER) throw new Error('the answer of a witness is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
