/** The SDK on runtimes that are not Node: each runs examples/request/worker.js as one file. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Stagedoor } from '@stagedoor/sdk'
import { build } from 'esbuild'
import { freePort } from './support/ports.ts'
import { type ListeningServer, SECRET_KEY, startServer } from './support/server.ts'
import { until } from './support/time.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const installed = (file: string) => join(root, 'node_modules', file)
const actor = { sub: 'olivia@support', name: 'Olivia' }

interface Runtime {
  program: string
  args(port: number, folder: string): string[]
}

const workerd = (flags: string): Runtime => ({
  program: installed('@cloudflare/workerd-linux-64/bin/workerd'),
  args(port, folder) {
    writeFileSync(
      join(folder, `workerd${port}.capnp`),
      `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "app", worker = (
      modules = [(name = "worker", esModule = embed "worker.js")],
      compatibilityDate = "2026-01-01",
      compatibilityFlags = [${flags}],
    )),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "app")],
);
`,
    )
    return ['serve', join(folder, `workerd${port}.capnp`)]
  },
})

const runtimes: Record<string, Runtime> = {
  Bun: {
    program: installed('@oven/bun-linux-x64-baseline/bin/bun'),
    args(port, folder) {
      // By default it listens on all network interfaces.
      const place = `hostname: '127.0.0.1', port: ${port}`
      writeFileSync(join(folder, 'bun.js'), `import app from './worker.js'\nexport default { ...app, ${place} }\n`)
      return ['run', join(folder, 'bun.js')]
    },
  },
  Deno: {
    program: installed('@deno/linux-x64-glibc/deno'),
    args: (port, folder) => [
      'serve',
      '--no-config',
      '--allow-net',
      '--allow-env',
      `--port=${port}`,
      '--host=127.0.0.1',
      join(folder, 'worker.js'),
    ],
  },
  'workerd, as it is': workerd(''),
  'workerd, with nodejs_compat': workerd('"nodejs_compat"'),
}

describe('the SDK on other runtimes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stagedoor-runtimes-'))
  let server: ListeningServer
  let stagedoor: Stagedoor
  let userId: string

  before(async () => {
    server = await startServer()
    const serverURL = server.url
    stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL })
    userId = (await stagedoor.users.create()).id

    const outfile = join(folder, 'worker.js')
    await build({
      entryPoints: [join(root, 'examples/request/worker.js')],
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      mainFields: ['module', 'main'],
      outfile,
    })
    // Some runtimes have no environment variables, so the address is inserted into the file.
    writeFileSync(outfile, readFileSync(outfile, 'utf8').replaceAll('http://127.0.0.1:4100', serverURL))
  })
  after(async () => {
    await server?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  for (const [name, { program, args }] of Object.entries(runtimes)) {
    it(`${name}: shows who the user is, refuses, and records`, async context => {
      if (!existsSync(program)) return context.skip('it is not available for this machine')
      const port = await freePort()
      const env = { PATH: process.env['PATH'], HOME: folder, DENO_DIR: folder }
      const child = spawn(program, args(port, folder), { env, stdio: ['ignore', 'pipe', 'pipe'] })
      try {
        let output = ''
        for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk))
        const url = `http://127.0.0.1:${port}`
        const answers = () =>
          fetch(url).then(
            () => true,
            () => child.exitCode !== null,
          )
        await until(answers, () => output, 10_000)
        assert.equal(child.exitCode, null, output)

        const own = (await stagedoor.sessions.getToken((await stagedoor.sessions.create({ userId })).id)).jwt
        const { token: ticket = '' } = await stagedoor.actorTokens.create({ userId, actor })
        const acting = (await stagedoor.actorTokens.accept({ ticket })).token.jwt
        const call = async (method: string, path: string, token?: string) => {
          const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
          const answer = await fetch(url + path, { method, headers })
          return { status: answer.status, text: await answer.text() }
        }
        assert.equal((await call('GET', '/')).text, 'You are nobody.\n', output)
        assert.equal((await call('GET', '/', own)).text, `You are ${userId}.\n`, output)
        assert.equal((await call('GET', '/', acting)).text, `You are olivia@support, acting as ${userId}.\n`)
        const forged = `${acting.slice(0, -8)}AAAAAAAA`
        assert.match((await call('GET', '/me', forged)).text, /"reason":"token-invalid-signature"/)
        assert.deepEqual(JSON.parse((await call('GET', '/me', acting)).text), { userId, actor, lastSeen: null })
        const refused = await call('DELETE', '/account', acting)
        assert.equal(refused.status, 403)
        assert.match(refused.text, /forbidden_while_acting/)
        assert.equal((await call('DELETE', '/account', own)).status, 200)
      } finally {
        child.kill('SIGKILL')
      }
    })
  }
})
