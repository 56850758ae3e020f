import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Serving, serving } from '../../../test/support/serving.ts'

interface Counts {
  dry_run: boolean
  created: number
  updated: number
  existing: number
  failed: number
  stopped: boolean
  failures: { line: number; message: string }[]
}

let server: Serving
before(async () => {
  server = await serving({ env: { STAGEDOOR_RATE_LIMIT_KEY: 'none' } })
  server.env.STAGEDOOR_SERVER_URL = server.url
})
after(() => server[Symbol.asyncDispose]())

const path = (name: string) => join(server.directory, name)

/** Imports a file with this content. */
async function imported(name: string, content: string | Buffer, ...args: string[]) {
  writeFileSync(path(name), content)
  const { code, stdout, stderr } = await server.command('users', 'import', path(name), '--json', ...args)
  const counts = (stdout === '' ? undefined : JSON.parse(stdout)) as Counts
  return { code, stderr, counts, sums: counts && [counts.created, counts.updated, counts.existing, counts.failed] }
}

async function usersBy(external_id: string) {
  const response = await fetch(`${server.url}/v1/users?external_id=${encodeURIComponent(external_id)}`, {
    headers: { authorization: `Bearer ${server.secretKey}` },
  })
  // biome-ignore lint/suspicious/noExplicitAny: users
  return (await response.json()) as any[]
}

describe('users import', () => {
  it('creates the valid rows of a CSV file, lists the invalid ones, and changes nothing when run again', async () => {
    const rows = [
      'external_id,first_name,last_name',
      ...Array.from({ length: 50 }, (_, i) => `a-${i},Ann,${i}`),
      'stray-1,"Ann,A',
      'after-1,Bob,B',
      'stray-2,An"n,A',
      'after-2,"Bob ""B""",B',
      'stray-3,"Ann"x,A',
      '',
      'after-3,"Bob',
      'of two lines",B',
      'short,Ann',
      'long,Ann,A,B',
      ',,',
      'after-4,Bob,B',
      'stray-4,Ann,"A',
    ]
    const bad = [52, 54, 56, 60, 61, 62, 64]
    const first = await imported('bad.csv', rows.join('\n'), '--rejects', path('rejects.csv'))
    assert.equal(first.code, 1)
    assert.deepEqual(first.sums, [54, 0, 0, bad.length], first.stderr)
    assert.deepEqual(
      first.counts.failures.map(({ line }) => line),
      bad,
    )
    for (const [line, reason] of [
      [52, /quote .* is not closed/],
      [60, /it has 2 values, but the header has 3 columns/],
      [61, /it has 4 values/],
      [62, /no value/],
    ] as const) {
      assert.match(first.counts.failures.find(it => it.line === line)?.message ?? '', reason)
      assert.match(first.stderr, new RegExp(`^line ${line}: `, 'm'))
    }
    assert.equal((await usersBy('after-2'))[0].first_name, 'Bob "B"')
    assert.equal((await usersBy('after-3'))[0].first_name, 'Bob\nof two lines')

    // The rejected rows are unchanged, so they can be corrected and imported.
    const rejects = readFileSync(path('rejects.csv'), 'utf8')
    assert.equal(statSync(path('rejects.csv')).mode & 0o777, 0o600)
    assert.deepEqual(rejects.trimEnd().split('\n'), [rows[0], ...bad.map(line => rows[line - 1])])
    const mended = await imported(
      'mended.csv',
      rejects
        .replace('"Ann,A', 'Ann,A')
        .replace('An"n', 'Ann')
        .replace('"Ann"x', 'Ann')
        .replace(',"A\n', ',A\n')
        .replace('long,Ann,A,B', 'long,Ann,A')
        .replace('short,Ann', 'short,Ann,A')
        .replace(',,\n', ''),
    )
    assert.deepEqual([mended.code, mended.sums], [0, [6, 0, 0, 0]], mended.stderr)

    const taken = await imported('bad.csv', rows.join('\n'), '--rejects', path('rejects.csv'))
    assert.equal(taken.code, 2)
    assert.match(taken.stderr, /rejects\.csv already exists/)
    const second = await imported('bad.csv', rows.join('\n'))
    assert.deepEqual([second.code, second.sums], [1, [0, 0, 54, bad.length]])
    const none = await imported('good.csv', 'external_id\ngood-1\n', '--rejects', path('none.csv'))
    assert.deepEqual([none.code, none.sums], [0, [1, 0, 0, 0]])
    assert.ok(!existsSync(path('none.csv')) || readFileSync(path('none.csv'), 'utf8') === '')
  })

  it('reads the output of spreadsheets: semicolons, tabs, a byte order mark, CRLF, booleans', async () => {
    const files: [string, string, string?][] = [
      [
        'semicolon',
        '\ufeffExternal_ID;first_name;email_address;delete_self_enabled\r\n{id};Zoë;"{id}@a.example;{id}@b.example";yes\r\n',
      ],
      [
        'comma',
        'external_id,first_name,email_address,delete_self_enabled\r\n{id},Zoë,"{id}@a.example, {id}@b.example",TRUE\r\n',
      ],
      [
        'tab',
        'external_id\tfirst_name\temail_address\tdelete_self_enabled\n{id}\tZoë\t{id}@a.example;{id}@b.example\t1',
      ],
      [
        'quoted',
        '"external_id";"first_name";"email_address";"delete_self_enabled"\n"{id}";"Zoë";"{id}@a.example;{id}@b.example";"y"\n\n',
      ],
    ]
    for (const [id, content] of files) {
      const { code, sums, stderr } = await imported(`${id}.csv`, content.replaceAll('{id}', id))
      assert.deepEqual([code, sums], [0, [1, 0, 0, 0]], `${id}: ${stderr}`)
      const [user] = await usersBy(id)
      assert.equal(user.first_name, 'Zoë')
      assert.equal(user.email_addresses.length, 2, id)
      assert.equal(user.delete_self_enabled, true)
    }
    const odd = await imported('odd.csv', 'external_id,banned\nodd-1,maybe\nodd-2,no\nodd-3,\n')
    assert.deepEqual(odd.sums, [2, 0, 0, 1])
    assert.match(odd.counts.failures[0]?.message ?? '', /banned is neither true nor false/)
    const latin = await imported(
      'latin.csv',
      Buffer.from('external_id,first_name\nlatin-1,Zo\xeb\nlatin-2,Ann\n', 'latin1'),
    )
    assert.deepEqual(latin.sums, [1, 0, 0, 1])
    assert.match(latin.counts.failures[0]?.message ?? '', /not UTF-8/)
  })

  it('refuses an invalid file or header before it creates anything', async () => {
    const wrong: [string, string | Buffer, RegExp][] = [
      [
        'unknown.csv',
        'external_id,nope,first_name\nu-1,x,y\n',
        /unknown columns: “nope”\. Valid columns are external_id/,
      ],
      ['twice.csv', 'external_id,first_name,First_Name\nu-1,x,y\n', /names first_name twice/],
      ['headless.csv', 'u-1,Ann\n', /unknown columns: “u-1”, “ann”/],
      ['quote.csv', '"external_id,first_name\nu-1,x\n', /stray quote/],
      ['wide.csv', Buffer.from('\ufeffexternal_id\nu-1\n', 'utf16le'), /UTF-16/],
      ['users.xlsx', 'x', /must be JSON lines/],
    ]
    const answers = await Promise.all(wrong.map(([name, content]) => imported(name, content)))
    for (const [i, [name, , pattern]] of wrong.entries()) {
      assert.equal(answers[i]?.code, 2, name)
      assert.match(answers[i]?.stderr ?? '', pattern)
    }
    assert.deepEqual(await usersBy('u-1'), [])
    const empty = await imported('empty.csv', 'external_id,first_name\n')
    assert.deepEqual([empty.code, empty.sums], [0, [0, 0, 0, 0]])
  })

  it('--dry-run prints what an import would do; --update changes existing users, once', async () => {
    const header = 'external_id,email_address,first_name,public_metadata,banned,created_at'
    const line = (id: string, name: string, plan: string, banned = '') =>
      `${id},${id}@update.example,${name},"{""plan"":""${plan}""}",${banned},2024-01-31T12:00:00Z`
    const before = [header, line('u-1', 'Ann', 'pro'), line('u-2', 'Bob', 'pro')].join('\n')
    const dry = await imported(
      'users.csv',
      `${before}\n${line('u-2', 'Bob', 'pro')}\nu-3,no address,,,,\n`,
      '--dry-run',
    )
    assert.deepEqual([dry.code, dry.sums, dry.counts.dry_run], [1, [2, 0, 1, 1], true])
    assert.match(dry.counts.failures[0]?.message ?? '', /email_address.*an e-mail address/)
    assert.deepEqual(await usersBy('u-1'), [], 'a dry run creates nothing')
    assert.deepEqual((await imported('users.csv', before)).sums, [2, 0, 0, 0])

    const later = [
      header,
      line('u-1', 'Anna', 'max', 'true'),
      line('u-2', 'Bob', 'pro', 'no'),
      line('u-4', 'New', 'x'),
    ].join('\n')
    assert.deepEqual((await imported('users.csv', later, '--dry-run', '--update')).sums, [1, 1, 1, 0])
    assert.equal((await usersBy('u-1'))[0].first_name, 'Ann')
    assert.deepEqual(
      (await imported('users.csv', later)).sums,
      [1, 0, 2, 0],
      'existing users are unchanged without --update',
    )
    assert.deepEqual((await imported('users.csv', later, '--update')).sums, [0, 1, 2, 0])
    const [ann] = await usersBy('u-1')
    assert.deepEqual([ann.first_name, ann.public_metadata, ann.banned], ['Anna', { plan: 'max' }, true])
    assert.deepEqual((await imported('users.csv', later, '--update')).sums, [0, 0, 3, 0], 'and once')
    // Empty values change nothing.
    assert.deepEqual((await imported('users.csv', `${header}\nu-1,,,,,\n`, '--update')).sums, [0, 0, 1, 0])
  })

  it('does not take a user for another one who has the same address', async () => {
    assert.deepEqual((await imported('a.csv', 'external_id,email_address\nsame-1,same@x.example\n')).sums, [1, 0, 0, 0])
    const other = await imported('b.csv', 'external_id,email_address\nsame-2,same@x.example\n')
    assert.deepEqual([other.code, other.sums], [1, [0, 0, 0, 1]])
    assert.match(
      other.counts.failures[0]?.message ?? '',
      /belongs to another user, user_\w+, with the external_id same-1/,
    )
    assert.deepEqual((await imported('c.csv', 'email_address\nSame@x.example\n')).sums, [0, 0, 1, 0])
    assert.deepEqual((await imported('d.csv', 'email_address\nfree@x.example\n')).sums, [1, 0, 0, 0])
    const unnamed = await imported('e.csv', 'external_id,email_address\nfree-1,free@x.example\n')
    assert.match(unnamed.counts.failures[0]?.message ?? '', /no external_id; --update sets it/)
    assert.deepEqual(
      (await imported('e.csv', 'external_id,email_address\nfree-1,free@x.example\n', '--update')).sums,
      [0, 1, 0, 0],
    )
    assert.equal((await usersBy('free-1'))[0].email_addresses[0].email_address, 'free@x.example')
    const added = await imported('f.csv', 'external_id,email_address\nfree-1,second@x.example\n', '--update')
    assert.match(added.counts.failures[0]?.message ?? '', /an import cannot add one/)
  })

  it('prints its counts when it stops half-way, and continues when run again', async () => {
    const rows = Array.from({ length: 30 }, (_, i) => JSON.stringify({ external_id: `half-${i}` })).join('\n')
    const key = server.env.STAGEDOOR_SECRET_KEY ?? ''
    server.env.STAGEDOOR_SECRET_KEY = `sk_live_${'0123456789abcdef'.repeat(3)}`
    const refused = await imported('half.jsonl', rows)
    server.env.STAGEDOOR_SECRET_KEY = key
    assert.equal(refused.code, 1)
    assert.deepEqual([refused.sums, refused.counts.stopped, refused.counts.failures], [[0, 0, 0, 0], true, []])
    assert.match(refused.stderr, /does not know this secret key/)
    assert.doesNotMatch(refused.stderr, /Clerk/)
    assert.match(refused.stderr, /Run it again/)
    assert.deepEqual((await imported('half.jsonl', rows)).sums, [30, 0, 0, 0])
    const lines = `{"external_id":"j-1"}\nnot json\n[1]\n{"external_id":"j-2","nope":1}\n\n{"external_id":"j-3","email_address":"j3@x.example"}\n`
    const mixed = await imported('mixed.jsonl', lines, '--rejects', path('rejects.jsonl'))
    assert.deepEqual(mixed.sums, [2, 0, 0, 3])
    assert.deepEqual(
      mixed.counts.failures.map(({ line }) => line),
      [2, 3, 4],
    )
    assert.deepEqual(
      readFileSync(path('rejects.jsonl'), 'utf8').trim().split('\n').sort(),
      ['[1]', 'not json', '{"external_id":"j-2","nope":1}'].sort(),
    )
  })
})

describe('users import under a rate limit', () => {
  it('waits, and fails no row because of the limit', async () => {
    await using limited = await serving({ env: { STAGEDOOR_RATE_LIMIT_KEY: '4/s burst 1' } })
    limited.env.STAGEDOOR_SERVER_URL = limited.url
    const file = join(limited.directory, 'users.jsonl')
    writeFileSync(file, Array.from({ length: 12 }, (_, i) => JSON.stringify({ external_id: `l-${i}` })).join('\n'))
    const { code, stdout, stderr } = await limited.command('users', 'import', file, '--json')
    assert.equal(code, 0, stderr)
    assert.equal((JSON.parse(stdout) as Counts).created, 12)
  })
})
