import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Serving, serving } from '../../../test/support/serving.ts'

interface Counts {
  dry_run: boolean
  stopped: boolean
  failures: { line: number; message: string }[]
  [count: string]: unknown
}

let server: Serving
before(async () => {
  server = await serving({ env: { STAGEDOOR_RATE_LIMIT_KEY: 'none' } })
  server.env.STAGEDOOR_SERVER_URL = server.url
})
after(() => server[Symbol.asyncDispose]())

const path = (name: string) => join(server.directory, name)

/** Imports a file with this content. */
async function imported(name: string, content: string, ...args: string[]) {
  writeFileSync(path(name), content)
  const { code, stdout, stderr } = await server.command('actors', 'import', path(name), '--json', ...args)
  const counts = (stdout === '' ? undefined : JSON.parse(stdout)) as Counts
  const sums = counts && ['created', 'updated', 'existing', 'failed'].map(each => counts[each])
  return { code, stderr, counts, sums }
}

async function actor(sub: string) {
  const response = await fetch(`${server.url}/v1/actors/${encodeURIComponent(sub)}`, {
    headers: { authorization: `Bearer ${server.secretKey}` },
  })
  // biome-ignore lint/suspicious/noExplicitAny: an actor
  return response.status === 404 ? undefined : ((await response.json()) as any)
}

const CSV = `sub,kind,name,teams,level,owner_sub,disabled
olivia@support,,Olivia Park,"support; tier-2",2,,
nightly/job,agent,,robots,,olivia@support,no
gone@support,operator,,,,,yes
`

describe('actors import', () => {
  it('registers the rows of a CSV file, and changes nothing when run again', async () => {
    const dry = await imported('actors.csv', CSV, '--dry-run')
    assert.deepEqual([dry.code, dry.sums, dry.counts.dry_run], [0, [3, 0, 0, 0], true], dry.stderr)
    assert.equal(await actor('olivia@support'), undefined, 'a dry run registers nothing')
    assert.deepEqual((await imported('actors.csv', CSV)).sums, [3, 0, 0, 0])
    const olivia = await actor('olivia@support')
    assert.deepEqual(
      [olivia.kind, olivia.name, olivia.teams, olivia.level, olivia.disabled],
      ['operator', 'Olivia Park', ['support', 'tier-2'], 2, false],
    )
    const job = await actor('nightly/job')
    assert.deepEqual([job.kind, job.teams, job.owner_sub], ['agent', ['robots'], 'olivia@support'])
    assert.equal((await actor('gone@support')).disabled, true)
    assert.deepEqual((await imported('actors.csv', CSV)).sums, [0, 0, 3, 0])
    assert.equal((await actor('olivia@support')).updated_at, olivia.updated_at)
  })

  it('changes registered actors with --update, once; empty values change nothing', async () => {
    const rows = '{"sub":"ann","teams":["a"],"level":1,"name":"Ann"}\n\n{"sub":"bob","teams":"b"}\n'
    assert.deepEqual((await imported('a.jsonl', rows)).sums, [2, 0, 0, 0])
    const changed = 'sub;teams;level\nann;c;\nbob;b;\nzoe;;3\n'
    assert.deepEqual((await imported('b.csv', changed)).sums, [1, 0, 2, 0])
    assert.deepEqual((await actor('ann')).teams, ['a'])
    assert.deepEqual((await imported('b.csv', changed, '--update', '--dry-run')).sums, [0, 1, 2, 0])
    assert.deepEqual((await imported('b.csv', changed, '--update')).sums, [0, 1, 2, 0])
    const ann = await actor('ann')
    assert.deepEqual([ann.teams, ann.level, ann.name], [['c'], 1, 'Ann'])
    assert.deepEqual((await imported('b.csv', changed, '--update')).sums, [0, 0, 3, 0])
  })

  it('names the line and the reason of each row that it cannot import, and imports the others', async () => {
    const rows = [
      'sub,kind,teams,level,owner_sub',
      'good-1,,a,,',
      ',,a,,',
      'bad-1,robot,,,',
      'bad-2,,,high,',
      'bad-3,,a;a,,',
      'bad-4,operator,,,good-1',
      'GOOD-1 ,,,,',
      'good-1,,b,,',
      'bad-5,,a',
      'good-2,,,,',
    ]
    const first = await imported('bad.csv', rows.join('\n'), '--rejects', path('rejects.csv'), '--concurrency', '1')
    assert.deepEqual([first.code, first.sums], [1, [2, 0, 0, 8]], first.stderr)
    const expected = [
      [3, /it has no sub/],
      [4, /kind: .*/],
      [5, /level is not a whole number/],
      [6, /teams: a list of distinct names/],
      [7, /Only an agent has an owner/],
      [8, /looks the same/],
      [9, /an earlier row has the sub "good-1" too/],
      [10, /it has 3 values, but the header has 5 columns/],
    ] as const
    assert.deepEqual(
      first.counts.failures.map(({ line }) => line),
      expected.map(([line]) => line),
    )
    for (const [line, reason] of expected) {
      assert.match(first.counts.failures.find(each => each.line === line)?.message ?? '', reason)
      assert.match(first.stderr, new RegExp(`^line ${line}: `, 'm'))
    }
    const rejects = readFileSync(path('rejects.csv'), 'utf8').trimEnd().split('\n')
    assert.deepEqual(rejects, [rows[0], ...expected.map(([line]) => rows[line - 1])])
    const json = await imported('bad.jsonl', '[]\n{"sub":"x","admin":true}\n{"sub":"good-3"}\n')
    assert.deepEqual(json.sums, [1, 0, 0, 2])
    assert.match(json.counts.failures[0]?.message ?? '', /^not an actor: /)
    const header = await imported('header.csv', 'sub,team\na,b\n')
    assert.equal(header.code, 2)
    assert.match(header.stderr, /unknown columns: “team”\. Valid columns are sub, kind, name, teams, /)
  })

  it('prints its counts when it stops half-way, and continues when run again', async () => {
    const rows = Array.from({ length: 30 }, (_, n) => JSON.stringify({ sub: `half-${n}` })).join('\n')
    const key = server.env.STAGEDOOR_SECRET_KEY ?? ''
    server.env.STAGEDOOR_SECRET_KEY = `sk_live_${'0123456789abcdef'.repeat(3)}`
    const refused = await imported('half.jsonl', rows)
    server.env.STAGEDOOR_SECRET_KEY = key
    assert.deepEqual([refused.code, refused.sums, refused.counts.stopped], [1, [0, 0, 0, 0], true])
    assert.match(refused.stderr, /Run it again/)
    assert.deepEqual((await imported('half.jsonl', rows)).sums, [30, 0, 0, 0])
    assert.deepEqual((await imported('half.jsonl', rows)).sums, [0, 0, 30, 0])
  })
})
