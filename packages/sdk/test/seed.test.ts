import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Stagedoor } from '@stagedoor/sdk'
import type { CreateActorTokenRequestBody } from '@stagedoor/sdk/models/operations'
import { SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'

const sdk = join(import.meta.dirname, '..')
const root = join(sdk, '../..')

let directory: string
let server: TestServer
let stagedoor: Stagedoor

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'stagedoor-seed-'))
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }')
  // An alias, as after `npm install @clerk/backend-api-client@npm:@stagedoor/sdk`.
  for (const scope of ['@clerk', '@stagedoor', '@types'])
    mkdirSync(join(directory, 'node_modules', scope), { recursive: true })
  symlinkSync(sdk, join(directory, 'node_modules/@clerk/backend-api-client'))
  symlinkSync(sdk, join(directory, 'node_modules/@stagedoor/sdk'))
  for (const name of [
    ...['jose', 'react', 'playwright-core', '@types/node', '@types/react', 'csstype', 'undici-types'],
    ...['express', '@types/express', '@types/express-serve-static-core', '@types/serve-static', '@types/qs'],
    ...['@types/range-parser', '@types/send', '@types/body-parser', '@types/connect', '@types/http-errors'],
    ...['fastify', 'hono', 'posthog-node'],
  ])
    symlinkSync(join(root, 'node_modules', name), join(directory, 'node_modules', name))
  server = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: 'RS256' } })
  stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL: await server.listen() })
})

after(async () => {
  rmSync(directory, { recursive: true, force: true })
  await server[Symbol.asyncDispose]()
})

describe('the document that specified the request', () => {
  it('compiles in strict mode with only the package name changed', () => {
    write('seed.ts', codeOf('fixtures/create-actor-token-request-body.md'))
    compile(['seed.ts'])
  })

  it('creates an actor token', async () => {
    const value = await seedValue()
    assert.deepEqual(value, { userId: '<id>', actor: { sub: 'user_2OEpKhcCN1Lat9NQ0G6puh7q5Rb' } })
    const user = await stagedoor.users.create()
    const token = await stagedoor.actorTokens.create({ ...value, userId: user.id })
    assert.equal(token.object, 'actor_token')
    assert.equal(token.status, 'pending')
    assert.equal(token.userId, user.id)
    assert.deepEqual(token.actor, value.actor)

    const { data } = await stagedoor.actorTokens.list({ userId: user.id })
    assert.equal((data[0]?.expiresAt ?? 0) - token.createdAt, 3_600_000)
    const { session } = await stagedoor.actorTokens.accept({ ticket: token.token ?? '' })
    assert.equal(session.expireAt - session.createdAt, 1_800_000)
  })

  it('gets an error for "<id>", which is no user', async () => {
    await assert.rejects(stagedoor.actorTokens.create(await seedValue()), { status: 404, code: 'resource_not_found' })
  })
})

describe('the examples', () => {
  it('of the doc comments and the README compile', () => {
    const sources = globSync('src/**/*.ts', { cwd: sdk }).filter(
      file => !['src/http.ts', ...forBrowsers].includes(file),
    )
    const examples = sources.flatMap(file => examplesOf(readFileSync(join(sdk, file), 'utf8')))
    const all = [...examples, ...codeBlocks(readFileSync(join(sdk, 'README.md'), 'utf8'))]
    assert.ok(all.length > 30, `only ${all.length} examples found`)
    const files = all.map((text, index) => {
      const imports = /^import .*'@stagedoor\/sdk'$/m.test(text)
        ? ''
        : "import { Stagedoor, StagedoorError } from '@stagedoor/sdk'\n"
      const client = text.includes('const stagedoor =') ? '' : 'declare const stagedoor: Stagedoor\n'
      write(`example-${index}.ts`, `${imports}${client}${text}\nexport {}\n`)
      return `example-${index}.ts`
    })
    compile(files)
  })

  it('for browsers compile', () => {
    const examples = forBrowsers.flatMap(file => examplesOf(readFileSync(join(sdk, file), 'utf8')))
    assert.equal(examples.length, 3)
    const files = examples.map((_, index) => `browser-${index}.tsx`)
    for (const [index, file] of files.entries()) write(file, examples[index] ?? '')
    compile(files, { lib: ['es2024', 'dom'], jsx: 'react-jsx', types: [] })
  })
})

const forBrowsers = ['src/banner/clerk.ts', 'src/banner/element.ts', 'src/react.ts']

/** The value that the document creates. */
async function seedValue(): Promise<CreateActorTokenRequestBody> {
  write('value.ts', `${codeOf('fixtures/create-actor-token-request-body.md')}\nexport { value }\n`)
  compile(['value.ts'], { noEmit: false, outDir: 'out', rewriteRelativeImportExtensions: true })
  const module = await import(pathToFileURL(join(directory, 'out/value.js')).href)
  return module.value
}

function codeOf(fixture: string): string {
  const [block] = codeBlocks(readFileSync(join(import.meta.dirname, fixture), 'utf8'))
  assert.ok(block)
  return block
}

function codeBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/^```(?:typescript|ts)\n(.*?)^```$/gms)].map(match => match[1] as string)
}

function examplesOf(source: string): string[] {
  return [...source.matchAll(/^ *\* @example\n(.*?)^ *\*\/$/gms)].map(match =>
    (match[1] as string).replace(/^ *\* ?/gm, ''),
  )
}

function write(file: string, text: string): void {
  writeFileSync(join(directory, file), text)
}

function compile(files: string[], options: object = {}): void {
  const compilerOptions = {
    strict: true,
    target: 'es2024',
    lib: ['es2024'],
    module: 'nodenext',
    types: ['node'],
    noEmit: true,
    // The sources stand in for the built package.
    allowImportingTsExtensions: true,
    preserveSymlinks: true,
    skipLibCheck: true,
    ...options,
  }
  // Only the parts of Next.js that the SDK uses.
  const all = [...files, join(sdk, 'src/next-headers.d.ts')]
  write('tsconfig.json', JSON.stringify({ compilerOptions, files: all }))
  try {
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', directory], { stdio: 'pipe' })
  } catch (error) {
    assert.fail(`tsc: ${String((error as { stdout?: Buffer }).stdout)}`)
  }
}
