import { deepEqual, ok } from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'

const SOURCES = fileURLToPath(new URL('../src/', import.meta.url))
/** Maximum number of files of the server that one request may run through: three of them decide by the policy. */
const MAX_FILES = 30
/** Maximum number of files that a reader has to open to understand one request. */
const MAX_TO_READ = 10
/** Recordings per request. A file counts if it is in all of them: the others belong to jobs that ran at the same time. */
const RECORDINGS = 5
/** What only jobs run through: the reevaluation of sessions, and the sequencer of the audit log with its publisher. */
const OF_JOBS =
  /^jobs\/|\/reevaluation\.ts$|^domain\/audit\/(checkpoints|containment|coverage|holes|log|merkle|publish|signed-note|stored-log|tiles)\.ts$|^(store\/audit-log|signing\/audit-keys)\.ts$|^publish\//
/** On a slow machine a job may run during each of them, so there are more if a walk is too long. */
const MAX_RECORDINGS = 40

/** Returns the source files of the server in which a function runs during a request, as V8's coverage reports them. */
async function filesOf(request: () => Promise<unknown>): Promise<Set<string>> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
    await session.post('Profiler.takePreciseCoverage')
    await request()
    const { result } = await session.post('Profiler.takePreciseCoverage')
    const ran = result.filter(({ functions }) =>
      // The function without a name is the module itself.
      functions.some(({ functionName, ranges }) => functionName !== '' && ranges.some(({ count }) => count > 0)),
    )
    const files = ran.map(({ url }) => (url.startsWith('file:') ? fileURLToPath(url) : ''))
    const own = files.filter(file => file.startsWith(SOURCES)).map(file => file.slice(SOURCES.length))
    // On a slow machine a job runs during every request, and is no part of it.
    return new Set(own.filter(file => !OF_JOBS.test(file)))
  } finally {
    session.disconnect()
  }
}

/** The main job over HTTP, request by request. */
class MainJob {
  readonly #url: string
  readonly #user_id: string
  #ticket = ''
  #session = ''
  #cookie = ''

  constructor(url: string, user_id: string) {
    this.#url = url
    this.#user_id = user_id
  }

  static async on(server: TestServer): Promise<MainJob> {
    const url = await server.listen()
    return new MainJob(url, (await server.createUser()).id)
  }

  async create(): Promise<void> {
    const { token } = await this.#post('/v1/actor_tokens', {
      headers: { authorization: `Bearer ${SECRET_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ user_id: this.#user_id, actor: { sub: 'olivia' } }),
    })
    this.#ticket = token
  }

  async redeem(): Promise<void> {
    const { response } = await this.#post('/v1/client/sign_ins', {
      body: new URLSearchParams({ strategy: 'ticket', ticket: this.#ticket }),
    })
    this.#session = response.created_session_id
  }

  async mint(): Promise<void> {
    await this.#post(`/v1/client/sessions/${this.#session}/tokens`, { headers: { cookie: this.#cookie } })
  }

  // biome-ignore lint/suspicious/noExplicitAny: the contract describes the answers
  async #post(path: string, { headers, body }: RequestInit): Promise<any> {
    const browser = path.startsWith('/v1/client') ? { origin: 'http://127.0.0.1:4101' } : {}
    const answer = await fetch(this.#url + path, {
      method: 'POST',
      headers: { ...browser, ...(headers as Record<string, string>) },
      body: body ?? null,
    })
    const text = await answer.text()
    ok(answer.ok, text)
    const [cookie] = answer.headers.getSetCookie().filter(each => each.startsWith('__client='))
    // Each redemption is of a browser that has no client yet.
    this.#cookie = cookie?.split(';')[0] ?? this.#cookie
    return JSON.parse(text)
  }
}

describe('the walk of a request', () => {
  it('is short, in one direction, and described in ARCHITECTURE.md', async () => {
    const log = pino({ level: 'info' }, { write: () => {} })
    await using server = await testServer({ realTime: true, checkResponses: false, log })
    const job = await MainJob.on(server)
    const steps = ['create', 'redeem', 'mint'] as const
    // What happens only once per process is not part of a request.
    for (const step of steps) await job[step]()
    const walks = new Map<string, Set<string>>()
    const isLong = () => [...walks.values()].some(files => files.size > MAX_FILES)
    for (let recording = 0; recording < RECORDINGS || (isLong() && recording < MAX_RECORDINGS); recording += 1) {
      for (const step of steps) {
        const files = await filesOf(() => job[step]())
        const before = walks.get(step) ?? files
        walks.set(step, new Set([...before].filter(file => files.has(file))))
      }
    }
    for (const [step, files] of walks) {
      console.log(`${step}: ${files.size} files`)
      ok(files.size <= MAX_FILES, `${step} runs through ${files.size} files: ${[...files].sort().join(', ')}`)
    }

    const architecture = readFileSync(new URL('../../../ARCHITECTURE.md', import.meta.url), 'utf8')
    const [section = ''] = /\n## One request[\s\S]*?(?=\n## )/.exec(architecture) ?? []
    const unnamed = [...(walks.get('create') ?? [])].filter(file => !section.includes(file.split('/').at(-1) ?? file))
    deepEqual(unnamed, [], 'ARCHITECTURE.md does not name all files of the walk')
    const table = section.split('\n').filter(line => /^\| \d/.test(line))
    const toRead = table.flatMap(line => [...(line.split('|')[2] ?? '').matchAll(/[\w-]+(?:\/[\w-]+)*\.ts/g)])
    const names = [...new Set(toRead.map(([name]) => name))]
    // One of the two stores, not both.
    ok(names.length - 1 <= MAX_TO_READ, names.join(', '))
    deepEqual(
      names.filter(name => !existsSync(SOURCES + name)),
      [],
    )
  })
})
