import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { SECRET_KEY, type TestServer, testServer } from '../packages/server/test/support.ts'

/** The Python package: its own tests against real servers, its types, and what is published of it. */
const root = join(import.meta.dirname, '..')
const home = join(root, 'python')
const environment = join(home, '.venv')
const bin = join(environment, process.platform === 'win32' ? 'Scripts' : 'bin')
const skip = !existsSync(bin) && 'set-up found no Python 3.10 or later'

describe('the Python package', { skip }, () => {
  let directory: string
  const servers: TestServer[] = []

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'stagedoor-python-'))
  })

  after(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  })

  it('passes its own tests', async test => {
    const urls: Record<string, string> = {}
    for (const alg of ['RS256', 'ES256', 'EdDSA']) {
      const server = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: alg } })
      servers.push(server)
      urls[alg] = await server.listen()
    }
    const report = join(directory, 'report')
    writeFileSync(report, '')
    const { code, output } = await run(join(bin, 'python'), ['-m', 'pytest'], {
      TEST_SERVERS: JSON.stringify(urls),
      TEST_ISSUER: 'http://127.0.0.1:4100',
      TEST_SECRET_KEY: SECRET_KEY,
      TEST_REPORT: report,
    })
    const results = readFileSync(report, 'utf8').trim().split('\n')
    for (const line of results) {
      const { name, outcome, text } = JSON.parse(line) as { name: string; outcome: string; text: string }
      await test.test(name, { skip: outcome === 'skipped' }, () => assert.equal(outcome, 'passed', text))
    }
    assert.equal(code, 0, output)
    assert.ok(results.length > 100, output)
  })
})

/** Runs a program in the folder of the package, to its end. */
async function run(command: string, args: string[], env: Record<string, string> = {}) {
  const plain = Object.entries(process.env).filter(([name]) => !/^(STAGEDOOR|CLERK|PYTHON|NODE)_?/.test(name))
  const child: ChildProcess = spawn(command, args, {
    cwd: home,
    env: { ...Object.fromEntries(plain), PYTHONDONTWRITEBYTECODE: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', chunk => {
      output += chunk
    })
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, output }
}
