import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

function run(command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${stdout}\n${stderr}`)
  return stdout
}

/** The packages as a stranger gets them: built, packed, installed in a project of their own. */
describe('the packages', () => {
  const project = mkdtempSync(join(tmpdir(), 'stagedoor-packages-'))
  const built = mkdtempSync(join(tmpdir(), 'stagedoor-tarballs-'))

  before(() => {
    run(process.execPath, [join(root, 'scripts/build.ts')], root)
    for (const name of ['sdk', 'server']) {
      run(npm, ['pack', '--silent', '--pack-destination', built], join(root, 'packages', name, 'dist'))
    }
    writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
    const tarballs = readdirSync(built).map(file => join(built, file))
    run(npm, ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', ...tarballs], project)
    // What an app that imports `@stagedoor/sdk/react` has itself.
    cpSync(join(root, 'node_modules/react'), join(project, 'node_modules/react'), { recursive: true })
  })
  after(() => {
    for (const folder of [project, built]) rmSync(folder, { recursive: true, force: true })
  })

  it('hold JavaScript, types and a licence, and no TypeScript source', () => {
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

  it('import by every name they promise', () => {
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
        assert.doesNotMatch(readFileSync(join(sdk, file), 'utf8'), /from ['"](zod|hono|@stagedoor\/server)/, file)
    }
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
  // @ts-expect-error nobody may be signed in
  auth.userId.length
  // @ts-expect-error one or the other
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

  it('bring the command', () => {
    assert.match(run(join(project, 'node_modules/.bin/stagedoor'), ['--version'], project), /^\d+\.\d+\.\d+\n$/)
  })
})
