import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { SECRET_KEY, testServer } from '../support/server.ts'

/**
 * Schemathesis, an independent tool, tests the OpenAPI documents against a real server: no server error, no
 * undocumented status, no answer that breaks its schema, no invalid request that is accepted, and no valid one that is
 * refused for a reason that hooks.py does not list.
 */

const home = import.meta.dirname
const program = join(home, '.venv', process.platform === 'win32' ? 'Scripts/st.exe' : 'bin/st')
const skip = !existsSync(program) && 'set-up found no Python 3.10 or later'
const deep = process.env.TEST_DEEP !== undefined

describe('the OpenAPI documents', { skip, concurrency: true }, () => {
  for (const [document, least] of [
    ['bapi', 1_500],
    ['fapi', 200],
  ] as const) {
    it(`${document}: every edge of every schema`, async () => {
      assert.ok((await passed(document, ['--phases', 'coverage'])) > least)
    })

    it(`${document}: random requests from the schemas`, { skip: !deep && 'npm run test:deep' }, async () => {
      assert.ok(
        (await passed(document, ['--phases', 'fuzzing', '--max-time', '600', '--max-examples', '1000'])) > least,
      )
    })
  }
})

describe('an answer that Node writes instead of the server', () => {
  it('431 is documented: the address and the headers are too large', async () => {
    await using server = await testServer()
    const url = await server.listen()
    const status = await new Promise(resolve => {
      request(`${url}/v1/users`, { headers: { 'x-large': 'x'.repeat(20_000) } }, ({ statusCode }) =>
        resolve(statusCode),
      )
        .on('error', resolve)
        .end()
    })
    assert.equal(status, 431)
    const document = await import('../../openapi/bapi.json', { with: { type: 'json' } })
    assert.ok('431' in document.default.paths['/v1/users'].get.responses)
  })
})

/** Runs Schemathesis against its own server. @returns the number of requests */
async function passed(document: string, args: string[]): Promise<number> {
  await using server = await testServer({
    realTime: true,
    env: { STAGEDOOR_DATABASE_URL: 'sqlite::memory:', STAGEDOOR_SIGNING_ALG: 'EdDSA' },
  })
  const { cookie, client_id, session_id, token_id } = await server.signIn()
  const path = join(home, '../../openapi', `${document}.json`)
  const all = ['--config-file', 'schemathesis.toml', 'run', path, '--url', await server.listen(), '--no-color', ...args]
  const child = spawn(program, all, {
    cwd: home,
    env: {
      ...process.env,
      PYTHONDONTWRITEBYTECODE: '1',
      ST_SECRET_KEY: SECRET_KEY,
      ST_CLIENT: cookie.replace('__client=', ''),
      ST_CLIENT_ID: client_id,
      ST_SESSION_ID: session_id,
      ST_ACTOR_TOKEN_ID: token_id,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', chunk => {
      output += chunk
    })
  }
  const code = await new Promise(resolve => child.once('close', resolve))
  assert.equal(code, 0, output)
  return Number(/(\d+) generated/.exec(output)?.[1])
}
