import { ApiError, invalidParam } from '../contract/errors.ts'
import type { HeaderReader } from './headers.ts'
import { parseJson } from './json.ts'

/** Maximum size of a request body, in bytes. */
export const MAX_BODY_BYTES = 262_144
/** Maximum number of form fields, because parsing a form is slow. */
const MAX_FIELDS = 200

const expected = { json: 'application/json', form: 'application/x-www-form-urlencoded' } as const

/**
 * Reads and parses a body. Returns undefined if it is empty. This is the only place that checks the content type and
 * parses a body, so the two cannot disagree.
 * @throws ApiError unsupported_content_type, request_body_too_large, request_body_invalid, form_param_value_invalid
 */
export async function readBody(request: Request, header: HeaderReader, type: 'json' | 'form'): Promise<unknown> {
  const bytes = await readBytes(request, header)
  if (bytes.length === 0) return undefined
  assertContentType(header, expected[type])
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch (cause) {
    throw new ApiError('request_body_invalid', { cause, action: 'Send the body as UTF-8.' })
  }
  return type === 'json' ? parseJson(text) : parseForm(text)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

async function readBytes(request: Request, header: HeaderReader): Promise<Uint8Array> {
  const declared = header('content-length')
  if (declared !== undefined) {
    // The HTTP parser ensures that a body has its declared length.
    if (Number(declared) > MAX_BODY_BYTES) throw tooLarge()
    return Number(declared) === 0 ? new Uint8Array() : new Uint8Array(await request.arrayBuffer())
  }
  if (!request.body) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function tooLarge(): ApiError {
  return new ApiError('request_body_too_large', { params: { limit: MAX_BODY_BYTES } })
}

function assertContentType(header: HeaderReader, wanted: string): void {
  const actual = header('content-type') ?? ''
  const encoding = header('content-encoding')
  const [type, ...parameters] = actual.toLowerCase().split(';')
  const plain = parameters.every(parameter => /^ ?charset="?utf-8"?$/.test(parameter))
  if (type !== wanted || !plain || (encoding !== undefined && encoding !== 'identity')) {
    const shown = encoding === undefined ? actual : `${actual} (${encoding})`
    throw new ApiError('unsupported_content_type', { params: { actual: shown || '(none)', expected: wanted } })
  }
}

function parseForm(text: string): Record<string, string> {
  if (text.split('&', MAX_FIELDS + 1).length > MAX_FIELDS) {
    throw new ApiError('request_body_invalid', { action: `Send at most ${MAX_FIELDS} fields.` })
  }
  const form: [string, string][] = []
  const seen = new Set<string>()
  for (const [name, value] of new URLSearchParams(text)) {
    if (seen.has(name)) throw invalidParam(name, `\`${name}\` is given twice.`)
    seen.add(name)
    form.push([name, plainText(name, value)])
  }
  return Object.fromEntries(form)
}

/** Checks that every database can store the text. @throws ApiError form_param_value_invalid */
export function plainText(name: string, value: string): string {
  if (value.includes('\0') || value.includes('\uFFFD'))
    throw invalidParam(name, `\`${name}\` must be UTF-8 text without U+0000.`)
  return value
}
