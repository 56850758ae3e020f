import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { deep } from './support/deep.ts'
import { SECRET_KEY, type TestServer, testServer } from './support/server.ts'

/** The Python package: its own tests against real servers, its types, and its distribution files. */
const root = join(import.meta.dirname, '..')
const home = join(root, 'python')
const environment = join(home, '.venv')
const bin = join(environment, process.platform === 'win32' ? 'Scripts' : 'bin')
const skip = !existsSync(bin) && 'set-up found no Python 3.10 or later'

describe('the Python package', { skip }, () => {
  let directory: string
  const servers: TestServer[] = []
  /** Server URLs, by signing algorithm. */
  const urls: Record<string, string> = {}

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'stagedoor-python-'))
    for (const alg of ['RS256', 'ES256', 'EdDSA']) {
      const server = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: alg } })
      servers.push(server)
      urls[alg] = await server.listen()
    }
  })

  after(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  })

  /** Runs pytest and reports each of its tests as a subtest. */
  async function pytest(test: TestContext, python: string, args: string[], atLeast: number): Promise<void> {
    const report = join(directory, `report-${test.name}`)
    writeFileSync(report, '')
    const { code, output } = await run(python, ['-m', 'pytest', ...args], {
      TEST_SERVERS: JSON.stringify(urls),
      TEST_ISSUER: 'http://127.0.0.1:4100',
      TEST_SECRET_KEY: SECRET_KEY,
      TEST_REPORT: report,
    })
    const results = readFileSync(report, 'utf8').trim().split('\n').filter(Boolean)
    for (const line of results) {
      const { name, outcome, text } = JSON.parse(line) as { name: string; outcome: string; text: string }
      await test.test(name, { skip: outcome === 'skipped' }, () => assert.equal(outcome, 'passed', text))
    }
    assert.equal(code, 0, output)
    assert.ok(results.length > atLeast, output)
  }

  it('passes its own tests', test => pytest(test, join(bin, 'python'), [], 150))

  for (const name of ['oldest', 'newest']) {
    const python = join(home, `.venv-${name}`, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
    const missing = !existsSync(python) && `set-up found no Python for python/requirements-${name}.txt`
    // The environment of the other tests is nearly the newest.
    const skip = missing || (name === 'newest' && !deep && 'runs in `npm run test:deep`')
    it(`its framework helpers work with the ${name} Python and frameworks`, { skip }, async test => {
      const files = ['cookies', 'django_views', 'frameworks', 'own_sessions', 'readme', 'state']
      const paths = files.map(file => `tests/test_${file}.py`)
      // Ignore warnings about other versions of the frameworks.
      await pytest(test, python, ['-p', 'no:cacheprovider', '-o', 'filterwarnings=', ...paths], 200)
    })
  }

  it('passes mypy in strict mode, and pyright', async () => {
    const [mypy, pyright] = await Promise.all([
      run(join(bin, 'python'), ['-m', 'mypy']),
      run(process.execPath, [PYRIGHT]),
    ])
    assert.equal(mypy.code, 0, mypy.output)
    assert.match(mypy.output, /no issues found in \d\d source files/)
    assert.equal(pyright.code, 0, pyright.output)
    assert.match(pyright.output, /^0 errors, 0 warnings/m)
  })

  it('passes ruff', async () => {
    for (const args of [['check'], ['format', '--check']]) {
      const { code, output } = await run(join(bin, 'ruff'), [...args, '--no-cache'])
      assert.equal(code, 0, output)
    }
  })

  it('is published as a self-contained wheel with types, and a source distribution that builds it', async () => {
    const built = await run(join(bin, 'python'), ['-m', 'build', '--no-isolation', '--outdir', directory])
    assert.equal(built.code, 0, built.output)
    const wheel = join(directory, 'stagedoor-0.1.0-py3-none-any.whl')
    assert.ok(existsSync(join(directory, 'stagedoor-0.1.0.tar.gz')))

    const empty = join(directory, 'empty')
    const python = join(empty, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
    const from = ['--no-index', '--find-links', join(environment, 'wheels')]
    for (const args of [
      ['-m', 'venv', '--without-pip', empty],
      ['-m', 'pip', '--python', python, 'install', '--quiet', ...from, wheel],
    ]) {
      const { code, output } = await run(join(bin, 'python'), args)
      assert.equal(code, 0, output)
    }
    const used = await run(python, ['-I', '-c', USE, urls.RS256 ?? '', SECRET_KEY])
    assert.equal(used.output.trim(), 'olivia@support [1, None]\nstagedoor.fastapi needs fastapi')
    assert.equal(used.code, 0)

    // Pyright looks for packages where the first Python of the PATH does.
    const path = { PATH: `${dirname(python)}${delimiter}${process.env.PATH}` }
    const types = await run(process.execPath, [PYRIGHT, '--verifytypes', 'stagedoor', '--ignoreexternal'], path)
    assert.match(types.output, /Type completeness score: 100%/)
  })
})

const PYRIGHT = join(root, 'node_modules/pyright/index.js')

/** A user's program, in an environment with only this package. */
const USE = `
import sys
from stagedoor import Stagedoor, verify_token

url, key = sys.argv[1:]
with Stagedoor(bearer_auth=key, server_url=url) as stagedoor:
    user = stagedoor.users.create()
    token = stagedoor.actor_tokens.create(user_id=user.id, actor={"sub": "olivia@support", "more": [1, None]})
    accepted = stagedoor.actor_tokens.accept(token.token)
auth = verify_token(accepted.token.jwt, issuer="http://127.0.0.1:4100", server_url=url)
print(auth.actor.sub, auth.actor.more)
try:
    import stagedoor.fastapi
except ModuleNotFoundError as error:
    print("stagedoor.fastapi needs", error.name)
`

/** Runs a program to its end in the folder of the package. */
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
