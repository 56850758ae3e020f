import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import BetterSqlite3 from 'better-sqlite3'
import { joseSignature } from '../packages/server/src/signing/keyring.ts'
import { answer } from './child.ts'

/**
 * Measures the machine's limit over HTTP: node:http and nothing else. `/constant` answers a constant, `/sign/RS256` signs
 * as many bytes as a session token has, and `/create` inserts one row into SQLite with group commit.
 */

const PAYLOAD = 'x'.repeat(520)

const keys: Record<string, KeyObject> = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  EdDSA: generateKeyPairSync('ed25519').privateKey,
}

const db = new BetterSqlite3(process.env.BENCH_DATABASE ?? ':memory:')
db.pragma('journal_mode = WAL')
db.pragma('synchronous = FULL')
db.exec('create table actor_tokens (id text primary key, user_id text, body text, created_at integer) strict')
const insert = db.prepare('insert into actor_tokens values (?, ?, ?, ?)')
const [begin, commit] = [db.prepare('begin immediate'), db.prepare('commit')]

let serial = 0
let waiting: { body: string; response: ServerResponse }[] = []

function commitWaiting(): void {
  const batch = waiting
  waiting = []
  const now = Date.now()
  begin.run()
  const answers = batch.map(({ body }) => {
    const { user_id } = JSON.parse(body) as { user_id: string }
    const id = `act_${++serial}`
    insert.run(id, user_id, body, now)
    return JSON.stringify({ id, user_id, created_at: now, token: PAYLOAD })
  })
  commit.run()
  batch.forEach(({ response }, i) => {
    send(response, answers[i] as string)
  })
}

function send(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text)
}

function signed(alg: string, response: ServerResponse): void {
  const data = `${++serial}.${PAYLOAD}`
  const reply = (signature: Buffer) =>
    send(response, JSON.stringify({ object: 'token', jwt: `${data}.${signature.toString('base64url')}` }))
  const key = keys[alg] as KeyObject
  if (alg === 'RS256') sign('sha256', Buffer.from(data), key, (_error, signature) => reply(signature))
  else if (alg === 'ES256') reply(joseSignature(sign('sha256', Buffer.from(data), key)))
  else reply(sign(null, Buffer.from(data), key))
}

const server = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8')
  request.on('data', chunk => {
    body += chunk
  })
  request.on('end', () => {
    if (request.url === '/constant') send(response, '{"status":"ok"}')
    else if (request.url === '/create') {
      if (waiting.length === 0) setImmediate(commitWaiting)
      waiting.push({ body, response })
    } else signed(request.url?.split('/')[2] ?? '', response)
  })
})

await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
answer(() => (server.address() as { port: number }).port)
