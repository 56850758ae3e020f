import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const setup = fileURLToPath(new URL('../scripts/setup.mjs', import.meta.url))

describe('set-up', () => {
  it('runs a file on the pinned Node with its arguments, and passes its exit code on', async () => {
    const child = spawn(process.execPath, [setup, 'run', 'packages/server/src/cli/main.ts', 'nonsense'], {
      stdio: 'ignore',
    })
    assert.equal(await new Promise(resolve => child.on('exit', resolve)), 2)
  })

  it('leaves no server behind when npm is stopped', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'stagedoor-setup-'))
    // Like npm: a shell that dies from a signal without passing it on.
    const shell = spawn(
      'sh',
      ['-c', `"${process.execPath}" "${setup}" run packages/server/src/cli/main.ts dev --port 0; true`],
      {
        cwd,
        env: { ...process.env, npm_lifecycle_event: 'start' },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    let text = ''
    const url = await new Promise<string>(resolve => {
      shell.stdout.on('data', chunk => {
        text += chunk
        const [, found] = /up: (http:\S+)[\s\S]*Serving/.exec(text) ?? []
        if (found) resolve(found)
      })
    })
    assert.equal((await fetch(`${url}/healthz`)).status, 200)
    const closed = new Promise(resolve => shell.stdout.on('close', resolve))
    shell.kill('SIGTERM')
    await closed
    assert.match(text, /Stopped\./)
    await assert.rejects(fetch(`${url}/healthz`))
    rmSync(cwd, { recursive: true, force: true })
  })
})
