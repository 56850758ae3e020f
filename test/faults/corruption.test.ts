import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { testDatabase } from '../support/database.ts'
import { times } from '../support/deep.ts'
import { claimsOf } from '../support/jwt.ts'
import { type Answer, testServer } from '../support/server.ts'
import { cluster, NotStarted } from './cluster.ts'
import { Connection } from './connection.ts'
import { embeddedDatabase } from './database.ts'
import { goal, type Random, randomOf, seeds } from './goal.ts'
import { makeTickets, ok, requests } from './requests.ts'

/** Places to damage, for each kind of damage. */
const PLACES = times(7, 200)

/** A database with all kinds of records, the facts about it, and copies of its files after the server is gone. */
async function fixture(how: 'closed' | 'killed') {
  const database = testDatabase()
  const files = mkdtempSync(join(tmpdir(), 'stagedoor-corruption-'))
  const server = await testServer({ env: database.env, realTime: true })
  const alive = []
  const over = []
  const dead = []
  for (let i = 0; i < 8; i++) {
    alive.push(await server.signIn())
    const revoked = await server.signIn()
    await server.call('POST', `/v1/sessions/${revoked.session_id}/revoke`)
    over.push(revoked)
    const token = await server.createActorToken()
    await server.call('POST', `/v1/actor_tokens/${token.id}/revoke`)
    dead.push(token.token, revoked.ticket)
  }
  // A killed server leaves recent writes in the write-ahead log; the latest of them are revocations.
  // The checkpoint first: the log in the copy then contains it.
  const suffixes = ['-checkpoint', '', '-wal', '-acknowledged']
  if (how === 'closed') await server[Symbol.asyncDispose]()
  for (const suffix of suffixes)
    if (existsSync(database.path + suffix)) copyFileSync(database.path + suffix, join(files, `db${suffix}`))
  if (how === 'killed') await server[Symbol.asyncDispose]()
  return {
    database,
    alive,
    over,
    dead,
    /** Restores the files. */
    restore() {
      for (const suffix of [...suffixes, '-shm']) rmSync(database.path + suffix, { force: true })
      for (const suffix of suffixes)
        if (existsSync(join(files, `db${suffix}`))) copyFileSync(join(files, `db${suffix}`), database.path + suffix)
    },
    [Symbol.dispose]() {
      rmSync(files, { recursive: true })
      database[Symbol.dispose]()
    },
  }
}

type Fixture = Awaited<ReturnType<typeof fixture>>

interface Seen {
  refusedAtStart: number
  refusedInService: number
  right: number
  /** Tokens with altered values: SQLite does not keep checksums of its data. */
  altered: string[]
  wrong: string[]
}

/** Starts a server on the damaged files and requests everything known. */
async function examine({ database, alive, over, dead }: Fixture, seen: Seen, place: string): Promise<void> {
  let server: Awaited<ReturnType<typeof testServer>>
  try {
    server = await testServer({ env: database.env, realTime: true })
  } catch (error) {
    const { message } = error as Error
    // The message names the setting, the cause and the fix.
    const isClear =
      /^STAGEDOOR_DATABASE_URL: .*(backup|later version|STAGEDOOR_MASTER_KEY is not the key)/s.test(message) ||
      // An event that was changed.
      /^The audit log .*Restore the right database/s.test(message)
    if (!isClear) seen.wrong.push(`${place}: ${message}`)
    seen.refusedAtStart++
    return
  }
  await using _server = server
  let refused = false
  const answered = async (what: Promise<Answer>) => {
    const answer = await what
    if (answer.status >= 400 && answer.codes.length === 0) seen.wrong.push(`${place}: ${answer.status} ${answer.text}`)
    if (answer.status >= 500) refused = true
    return answer
  }
  const mint = (of: { session_id: string; cookie: string }) =>
    answered(server.post(`/v1/client/sessions/${of.session_id}/tokens`, {}, { cookie: of.cookie }))
  for (const of of over) {
    if ((await mint(of)).status === 200) seen.wrong.push(`${place}: minted a token for a revoked session`)
    if ((await answered(server.call('POST', `/v1/sessions/${of.session_id}/tokens`))).status === 200)
      seen.wrong.push(`${place}: minted a token for a revoked session, with the secret key`)
  }
  for (const ticket of dead) {
    const { status } = await answered(server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket }))
    if (status === 200) seen.wrong.push(`${place}: redeemed a ticket that was used or revoked`)
  }
  for (const of of alive) {
    const answer = await mint(of)
    if (answer.status !== 200) {
      refused = true
      continue
    }
    const { sub, sid, act } = claimsOf(answer.body.jwt)
    if (sub !== of.user_id || sid !== of.session_id || JSON.stringify(act) !== '{"sub":"user_operator"}')
      seen.altered.push(`${place}: a token with altered claims: ${sub} ${sid} ${JSON.stringify(act)}`)
  }
  await answered(server.call('GET', '/v1/actor_tokens'))
  await answered(server.call('GET', '/v1/audit_events'))
  if (refused) seen.refusedInService++
  else seen.right++
}

const damages: Record<string, { how: 'closed' | 'killed'; damage: (path: string, random: Random) => string }> = {
  'a byte of the database': {
    how: 'closed',
    damage: (path, random) => flip(path, random.between(0, statSync(path).size - 1), random),
  },
  'a byte of the write-ahead log': {
    how: 'killed',
    damage: (path, random) => flip(`${path}-wal`, random.between(0, statSync(`${path}-wal`).size - 1), random),
  },
  'a write-ahead log cut short': {
    how: 'killed',
    damage: (path, random) => {
      const at = random.between(0, statSync(`${path}-wal`).size - 1)
      truncateSync(`${path}-wal`, at)
      return `cut at ${at}`
    },
  },
}

function flip(file: string, at: number, random: Random): string {
  const bytes = readFileSync(file)
  bytes[at] = (bytes[at] as number) ^ (1 << random.between(0, 7))
  writeFileSync(file, bytes)
  return `byte ${at} of ${file.slice(-4)}`
}

describe('a damaged file', () => {
  for (const [what, { how, damage }] of Object.entries(damages)) {
    it(`D12 ${what}: right answers or a clear error, never a wrong token`, async () => {
      const [seed = 0] = seeds(1)
      const random = randomOf(seed)
      using made = await fixture(how)
      const seen: Seen = { refusedAtStart: 0, refusedInService: 0, right: 0, altered: [], wrong: [] }
      for (let place = 0; place < PLACES; place++) {
        made.restore()
        await examine(made, seen, damage(made.database.path, random))
      }
      const { refusedAtStart, refusedInService, right, altered, wrong } = seen
      assert.equal(refusedAtStart + refusedInService + right, PLACES)
      goal(
        'D12',
        `${what}, ${PLACES} places: ${refusedAtStart} refused at the start, ${refusedInService} refused something in service, ${right} right (${altered.length} with an altered value that cannot be detected), ${wrong.length} wrong`,
        '0 wrong',
        wrong.length === 0,
        () => ({ seed, seen }),
      )
    })
  }

  it('D12 a real server with a truncated log does not start, explains why, and starts after a restore from the damaged file', async () => {
    await using database = embeddedDatabase()
    await using servers = await cluster(database, 1)
    const [server] = servers.servers
    assert.ok(server)
    using connection = new Connection(() => server)
    const [ticket] = await makeTickets([connection], servers.secretKey, 1)
    assert.ok(ticket)
    await ok(connection, requests(servers.secretKey).revokeActorToken(ticket.id))
    await server.kill()
    truncateSync(`${database.path}-wal`, statSync(`${database.path}-wal`).size - 1)
    const error = await server.start().catch((failure: unknown) => failure)
    assert.ok(error instanceof NotStarted, String(error))
    assert.ok(error.code, 'the server ended with an exit code')
    assert.match(error.output, /STAGEDOOR_DATABASE_URL: .*write-ahead log.*damaged or missing.*stagedoor restore/s)
    // Deleting the file does not help: the database then counts as a copy.
    rmSync(`${database.path}-acknowledged`)
    await assert.rejects(server.start(), /it is a copy.*stagedoor restore/)
    assert.equal((await server.command('restore', database.path)).code, 0)
    await server.start()
  })

  it('D12 a file that is truncated under a real server: the server refuses or ends, and does not start on the rest', async () => {
    await using database = embeddedDatabase()
    await using servers = await cluster(database, 1)
    const [server] = servers.servers
    assert.ok(server)
    const ask = requests(servers.secretKey)
    using connection = new Connection(() => server)
    const tickets = await makeTickets([connection], servers.secretKey, 40)
    for (const { id } of tickets) await ok(connection, ask.revokeActorToken(id))
    // After a clean stop the one file has everything, and the new start has nothing cached.
    await server.stop()
    await server.start()
    truncateSync(database.path, Math.floor(statSync(database.path).size / 8_192) * 4_096)
    for (const { token } of tickets) {
      const answer = await connection.request(ask.redeem(token)).catch(() => undefined)
      assert.notEqual(answer?.status, 200)
    }
    if (server.isRunning) await server.kill()
    const error = await server.start().catch((failure: unknown) => failure)
    assert.ok(error instanceof NotStarted, String(error))
    assert.match(error.output, /STAGEDOOR_DATABASE_URL: .*damaged.*backup/s)
  })
})
