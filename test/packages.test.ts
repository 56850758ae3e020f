import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { isBuiltin } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { build } from 'esbuild'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { deep } from './support/deep.ts'
import { runProgram, startProgram } from './support/processes.ts'
import { SECRET_KEY, testServer } from './support/server.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

function run(command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${stdout}\n${stderr}`)
  return stdout
}

/** The source without the lines of doc comments, whose examples may import anything. */
function codeOf(file: string): string {
  return readFileSync(file, 'utf8').replace(/^ *\/?\*.*$/gm, '')
}

/** The packages as a user gets them: built, packed, and installed in an empty project. */
describe('the packages', () => {
  const project = mkdtempSync(join(tmpdir(), 'stagedoor-packages-'))
  const built = mkdtempSync(join(tmpdir(), 'stagedoor-tarballs-'))

  before(() => {
    run(process.execPath, [join(root, 'scripts/pack.ts'), '--to', built], root)
    writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
    const tarballs = readdirSync(built)
      .filter(file => file.endsWith('.tgz'))
      .map(file => join(built, file))
    run(npm, ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', ...tarballs], project)
    // The dependencies of an app that imports `@stagedoor/sdk/react`.
    cpSync(join(root, 'node_modules/react'), join(project, 'node_modules/react'), { recursive: true })
  })
  after(() => {
    for (const folder of [project, built]) rmSync(folder, { recursive: true, force: true })
  })

  it('contain JavaScript, types and a licence, and no TypeScript source', () => {
    for (const name of ['sdk', 'server']) {
      const files = readdirSync(join(project, 'node_modules/@stagedoor', name), {
        recursive: true,
        encoding: 'utf8',
      }).filter(file => !file.includes('node_modules'))
      assert.ok(files.includes('LICENSE') && files.includes('package.json'), name)
      assert.deepEqual(
        files.filter(file => file.endsWith('.ts') && !file.endsWith('.d.ts')),
        [],
      )
    }
  })

  it('can be imported by every documented name', () => {
    for (const name of ['sdk', 'server']) {
      const manifest = JSON.parse(readFileSync(join(project, 'node_modules/@stagedoor', name, 'package.json'), 'utf8'))
      for (const path of Object.keys(manifest.exports)) {
        const specifier = path.replace('.', `@stagedoor/${name}`)
        run(process.execPath, ['--input-type=module', '-e', `await import('${specifier}')`], project)
      }
    }
  })

  it('keep the server out of the SDK', () => {
    const sdk = join(project, 'node_modules/@stagedoor/sdk')
    const manifest = JSON.parse(readFileSync(join(sdk, 'package.json'), 'utf8'))
    assert.deepEqual(Object.keys(manifest.dependencies), ['jose'])
    for (const file of readdirSync(sdk, { recursive: true, encoding: 'utf8' })) {
      if (file.endsWith('.js'))
        assert.doesNotMatch(codeOf(join(sdk, file)), /from ['"](zod|hono|@stagedoor\/server)/, file)
    }
  })

  it('are packed as every tool expects', async () => {
    for (const name of ['sdk', 'server']) {
      const { messages, pkg } = await publint({ pkgDir: join(root, 'packages', name, 'dist'), strict: true })
      assert.deepEqual(
        messages.map(message => formatMessage(message, pkg, { color: false })),
        [],
      )
    }
  })

  it('have the declared types under every module resolution', async () => {
    const tarball = readdirSync(built).find(file => file.includes('sdk')) as string
    const checked = checkPackage(createPackageFromTarballData(readFileSync(join(built, tarball))))
    const { problems } = (await checked) as { problems: { kind: string; resolutionKind?: string }[] }
    // ES modules only: TypeScript that ignores `exports` finds nothing, and CommonJS gets ES modules, which Node can require.
    const wrong = problems.filter(
      ({ kind, resolutionKind }) => resolutionKind !== 'node10' && kind !== 'CJSResolvesToESM',
    )
    assert.deepEqual(wrong, [])
  })

  it('have a small verify module, with its dependencies, compressed', async () => {
    const { outputFiles } = await build({
      stdin: { contents: `export * from '@stagedoor/sdk/verify'`, resolveDir: project },
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      write: false,
    })
    const [{ contents } = { contents: new Uint8Array() }] = outputFiles
    const size = gzipSync(contents, { level: 9 }).length
    console.log(`@stagedoor/sdk/verify with jose: ${contents.length} bytes minified, ${size} compressed`)
    assert.ok(size > 1_000 && size < 12_000, `${size} bytes`)
  })

  it('type-check in a strict project without `skipLibCheck`, with and without the types of Node', () => {
    const folder = join(project, 'strict')
    mkdirSync(folder, { recursive: true })
    const subpaths = ['', '/verify', '/models/operations', '/models/components', '/banner']
    const source = (paths: string[]) =>
      paths.map((path, index) => `import * as m${index} from '@stagedoor/sdk${path}'\nexport { m${index} }`).join('\n')
    writeFileSync(join(folder, 'browser.ts'), source(subpaths))
    writeFileSync(join(folder, 'node.ts'), source([...subpaths.slice(0, 4), '/testing']))
    const tsc = join(root, 'node_modules/.bin/tsc')
    const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess']
    const bundled = ['--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2022', '--lib', 'es2022,dom']
    run(tsc, [...strict, ...bundled, '--types', '', 'browser.ts'], folder)
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')]
    run(tsc, [...strict, '--module', 'nodenext', '--target', 'es2022', ...types, 'node.ts'], folder)
  })

  it('type-check in a strict project', () => {
    writeFileSync(
      join(project, 'app.ts'),
      `import { Stagedoor, StagedoorError } from '@stagedoor/sdk'
import { createStagedoor, loadConfig } from '@stagedoor/server'
import type { CreateActorTokenRequestBody } from '@stagedoor/sdk/models/operations'
import type { ActorToken } from '@stagedoor/sdk/models/components'
import { verifySessionToken } from '@stagedoor/sdk/verify'
import type { StagedoorBanner } from '@stagedoor/sdk/banner'
import { authenticate, type Auth, getAuth, requireUser } from '@stagedoor/sdk/express'
import { authenticate as inNext } from '@stagedoor/sdk/next'
import { recordAs } from '@stagedoor/sdk/record-as'
import { createAuthenticator, forbidActing } from '@stagedoor/sdk/request'
import { createServer } from 'node:http'
import { isBuiltin } from 'node:module'
createServer((request, response) => {
  authenticate({ issuer: 'i' })(request, response, () =>
    requireUser(request, response, () => response.end(recordAs(getAuth(request)).unlessActing(() => 'seen'))),
  )
})
export const deleteAccount = inNext({ issuer: 'i' }).forbidActing(async (form: FormData): Promise<string> => 'done')
export const deleted: (form: FormData) => Promise<string> = deleteAccount
export async function answer(request: Request): Promise<Response> {
  const auth: Auth = await createAuthenticator({ session: () => ({ userId: 'u', actor: { sub: 'a' } }) })(request)
  if (auth.isActing) console.log(auth.actor.sub, auth.userId.length)
  // @ts-expect-error the user may be signed out
  auth.userId.length
  // @ts-expect-error an issuer or a session is missing
  createAuthenticator({ jwks: { keys: [] } })
  return forbidActing(auth, request) ?? new Response()
}
export const leave = (banner: StagedoorBanner): void => banner.leave()
const body: CreateActorTokenRequestBody = { userId: 'u', actor: { sub: 'a', extra: [1] } }
export async function main(): Promise<string | undefined> {
  const stagedoor = await createStagedoor(loadConfig({}))
  const client = new Stagedoor({ secretKey: 'sk_test_x', serverURL: 'http://127.0.0.1:4100' })
  const token: ActorToken = await client.actorTokens.create(body)
  const { actor } = await verifySessionToken('x', { issuer: 'i', jwks: await client.jwks.get() })
  await stagedoor.close()
  if (token instanceof StagedoorError) throw token
  // @ts-expect-error the issuer is not optional
  await verifySessionToken('x', { jwks: { keys: [] } })
  return token.url ?? actor?.sub
}
`,
    )
    const options = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--types',
      'node',
      '--typeRoots',
      join(root, 'node_modules/@types'),
      '--skipLibCheck',
    ]
    run(join(root, 'node_modules/.bin/tsc'), [...options, 'app.ts'], project)
  })

  it('are written under the names in the guides, with a wheel if Python is installed', () => {
    const wheel = existsSync(join(root, 'python/.venv')) ? ['stagedoor-0.1.0-py3-none-any.whl'] : []
    assert.deepEqual(readdirSync(built).sort(), [...wheel, 'stagedoor-sdk-0.1.0.tgz', 'stagedoor-server-0.1.0.tgz'])
  })

  it('cannot be packed or published from the folders of their sources, and npm prints what to run', () => {
    for (const name of ['sdk', 'server']) {
      for (const command of ['pack', 'publish']) {
        const folder = join(root, 'packages', name)
        const { status, stderr } = spawnSync(npm, [command, '--dry-run'], { cwd: folder, encoding: 'utf8' })
        assert.notEqual(status, 0, `npm ${command} in packages/${name}`)
        assert.match(stderr, /npm run pack|marked as private/, stderr)
        assert.deepEqual(
          readdirSync(folder).filter(file => file.endsWith('.tgz')),
          [],
        )
      }
    }
  })

  it('need only the server’s file for a server: installed in an empty folder, it serves the API and the banner', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stagedoor-empty-'))
    // Without it, npm installs into a folder above that has one.
    writeFileSync(join(folder, 'package.json'), '{"private":true}')
    const tarball = join(built, 'stagedoor-server-0.1.0.tgz')
    run(npm, ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', tarball], folder)
    const bin = join(folder, 'node_modules/.bin/stagedoor')
    {
      await using server = await startProgram(process.execPath, [bin, 'dev', '--port', '0'], {
        url: '',
        cwd: folder,
        ready: /redeemed {2}sess_[\s\S]*STAGEDOOR_SERVER_URL=\S+\n/,
      })
      const [, url] = /STAGEDOOR_SERVER_URL=(\S+)/.exec(server.output()) ?? []
      assert.equal((await fetch(`${url}/healthz`)).status, 200)
      assert.match(await (await fetch(`${url}/banner.js`)).text(), /customElements\.define\(["']stagedoor-banner["']/)
      const headers = { authorization: `Bearer ${/STAGEDOOR_SECRET_KEY=(\S+)/.exec(server.output())?.[1]}` }
      const instance = (await (await fetch(`${url}/v1/instance`, { headers })).json()) as { version: string }
      assert.equal(
        instance.version,
        JSON.parse(readFileSync(join(root, 'packages/server/package.json'), 'utf8')).version,
      )
    }
    rmSync(folder, { recursive: true, force: true })
  })

  // It builds every package again.
  const onlyDeep = { skip: !deep && 'runs in `npm run test:deep`' }
  it(
    'can be released only by a person: a dry run sends nothing, and nothing starts without a terminal',
    onlyDeep,
    async () => {
      const sent: string[] = []
      const registry = createServer((request, response) => {
        sent.push(`${request.method} ${request.url}`)
        response.writeHead(404).end('{}')
      })
      await new Promise<void>(resolve => registry.listen(0, '127.0.0.1', resolve))
      const env = {
        npm_config_registry: `http://127.0.0.1:${(registry.address() as AddressInfo).port}`,
        npm_config_fetch_retries: '0',
      }
      const release = (...args: string[]) =>
        runProgram(process.execPath, [join(root, 'scripts/release.ts'), ...args], { cwd: root, env })
      const printed = await release('--dry-run')
      for (const file of ['stagedoor-sdk-0.1.0.tgz', 'stagedoor-server-0.1.0.tgz', 'stagedoor-0.1.0-py3-none-any.whl'])
        assert.ok(printed.includes(file), printed)
      assert.match(printed, /\+ @stagedoor\/sdk@0\.1\.0[\s\S]*\+ @stagedoor\/server@0\.1\.0/)
      assert.match(printed, /This was a dry run: nothing was published\./)
      await assert.rejects(release(), /at a terminal|uncommitted/)
      registry.close()
      assert.deepEqual(
        sent.filter(request => !request.startsWith('GET ')),
        [],
      )
    },
  )

  it('install the command', () => {
    assert.match(run(join(project, 'node_modules/.bin/stagedoor'), ['--version'], project), /^\d+\.\d+\.\d+\n$/)
  })

  it('have the command in one readable file, with the licence of each package that is in it', () => {
    const bin = join(project, 'node_modules/@stagedoor/server/bin')
    assert.deepEqual(readdirSync(bin).sort(), [
      'LICENSES.txt',
      'cedar-worker.mjs',
      'reader-thread.mjs',
      'stagedoor.mjs',
    ])
    const command = readFileSync(join(bin, 'stagedoor.mjs'), 'utf8')
    const imported = [...command.matchAll(/^import .* from "([^"]+)";$/gm)].map(([, name = '']) => name)
    assert.deepEqual([...new Set(imported.filter(name => !isBuiltin(name)))], ['better-sqlite3'])
    const inside = [...command.matchAll(/^ *\/\/ node_modules\/((?:@[^/\s]+\/)?[^/\s]+)/gm)].map(
      ([, name = '']) => name,
    )
    const licences = readFileSync(join(bin, 'LICENSES.txt'), 'utf8')
    const licensed = [
      ...licences.matchAll(/^(\S+) \d+\.\d+\.\d+: (?:MIT|ISC|Apache-2\.0|BSD-3-Clause|0BSD)\n\n\S/gm),
    ].map(([, name]) => name)
    assert.ok(licensed.length > 20, licences.slice(0, 1_000))
    // Two versions of a package can be in it.
    assert.deepEqual([...new Set(inside)].sort(), [...new Set(licensed)].sort())
    // Stack traces name these functions, and lines of this file.
    for (const name of ['createStagedoor', 'mintSessionToken']) assert.ok(command.includes(`function ${name}(`), name)
  })

  describe('do the main job', () => {
    const bin = (name: string) => join(root, 'node_modules', name)
    const runtimes: [string, string, string[]][] = [
      ['Node', process.execPath, []],
      ['the oldest Node', bin('oldest-node/bin/node'), []],
      ['Bun', bin('@oven/bun-linux-x64-baseline/bin/bun'), []],
      [
        'Deno',
        bin('@deno/linux-x64-glibc/deno'),
        ['run', '--allow-net=127.0.0.1', '--allow-env', '--node-modules-dir=manual', '--no-lock'],
      ],
    ]
    const job = `
      const user = await new Stagedoor().users.findOrCreate({ externalId: 'stranger' })
      const stagedoor = new Stagedoor()
      const { token: ticket } = await stagedoor.actorTokens.create({ userId: user.id, actor: { sub: 'olivia', role: 'support' } })
      const { session, token } = await stagedoor.actorTokens.accept({ ticket })
      const serverURL = process.env.STAGEDOOR_SERVER_URL
      const revocations = followRevocations({ serverURL, secretKey: process.env.STAGEDOOR_SECRET_KEY, whenLost: 'refuse' })
      await revocations.current()
      const issuer = 'http://127.0.0.1:4100'
      const verify = createVerifier({ issuer, jwks: remoteJwks(serverURL), revocations, cacheSize: 10 })
      const { userId, actor } = await verify(token.jwt)
      if (userId !== user.id) throw new Error('another user')
      await stagedoor.sessions.revoke(session.id)
      let reason
      for (let tries = 0; tries < 400 && !reason; tries++) {
        await new Promise(resolve => setTimeout(resolve, 20))
        await verify(token.jwt).catch(error => { reason = error.reason })
      }
      revocations.close()
      let users = 0
      for await (const _ of stagedoor.users.list({ limit: 1 })) users += 1
      const test = await createTestIssuer({ alg: 'ES256' })
      const own = await createVerifier({ issuer: test.issuer, jwks: test.jwks })(await test.mint({ actor: { sub: 'bot' } }))
      console.log(JSON.stringify([actor, reason, users > 0, own.actor]))
    `
    const names = {
      '': ['Stagedoor'],
      '/verify': ['createVerifier', 'followRevocations', 'remoteJwks'],
      '/testing': ['createTestIssuer'],
    }
    const imports = (by: (names: string[], from: string) => string) =>
      Object.entries(names)
        .map(([path, members]) => by(members, `@stagedoor/sdk${path}`))
        .join('\n')
    const module = imports((members, from) => `import { ${members.join(', ')} } from '${from}'`) + job
    const commonJs = `${imports((members, from) => `const { ${members.join(', ')} } = require('${from}')`)}\n;(async () => {${job}})()`

    for (const [name, program, args] of runtimes) {
      for (const [kind, file, text] of [
        ['an ES module', 'job.mjs', module],
        ['CommonJS', 'job.cjs', commonJs],
      ] as const) {
        const missing = existsSync(program) ? false : `npm has no ${name} for this machine`
        it(`in ${kind} on ${name}`, { skip: missing }, async () => {
          await using server = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: 'RS256' } })
          const serverURL = await server.listen()
          writeFileSync(join(project, file), text)
          const env = { STAGEDOOR_SERVER_URL: serverURL, STAGEDOOR_SECRET_KEY: SECRET_KEY }
          const printed = await runProgram(program, [...args, join(project, file)], { cwd: project, env })
          const line = printed.split('\n').find(each => each.startsWith('[')) ?? ''
          assert.deepEqual(JSON.parse(line), [
            { sub: 'olivia', role: 'support' },
            'session-revoked',
            true,
            { sub: 'bot' },
          ])
        })
      }
    }
  })
})
