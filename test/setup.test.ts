import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  cpSync,
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runProgram } from './support/processes.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const setup = join(root, 'scripts/setup.mjs')

describe('set-up', () => {
  it('runs a file on the pinned Node with its arguments, and passes its exit code on', async () => {
    const child = spawn(process.execPath, [setup, 'run', 'packages/server/src/cli/main.ts', 'nonsense'], {
      stdio: 'ignore',
    })
    assert.equal(await new Promise(resolve => child.on('exit', resolve)), 2)
  })

  it('starts a server from the bundle with its version, and leaves none behind when npm is stopped', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'stagedoor-setup-'))
    // Like npm: a shell that dies from a signal without passing it on.
    const shell = spawn('sh', ['-c', `"${process.execPath}" "${setup}" stagedoor dev --port 0; true`], {
      cwd,
      env: { ...process.env, npm_lifecycle_event: 'start' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    const url = await new Promise<string>(resolve => {
      shell.stdout.on('data', chunk => {
        text += chunk
        const [, found] = /up: (http:\S+)[\s\S]*Serving/.exec(text) ?? []
        if (found) resolve(found)
      })
    })
    const headers = { authorization: `Bearer ${/STAGEDOOR_SECRET_KEY=(\S+)/.exec(text)?.[1]}` }
    const instance = (await (await fetch(`${url}/v1/instance`, { headers })).json()) as { version: string }
    assert.equal(instance.version, JSON.parse(readFileSync(join(root, 'packages/server/package.json'), 'utf8')).version)
    const closed = new Promise(resolve => shell.stdout.on('close', resolve))
    shell.kill('SIGTERM')
    await closed
    assert.match(text, /Stopped\./)
    await assert.rejects(fetch(`${url}/healthz`))
    rmSync(cwd, { recursive: true, force: true })
  })

  describe('starts the command', () => {
    const copy = mkdtempSync(join(tmpdir(), 'stagedoor-checkout-'))
    const bundle = join(copy, 'packages/server/bin')
    const command = join(bundle, 'stagedoor.mjs')
    const main = join(copy, 'packages/server/src/cli/main.ts')
    const help = () => runProgram(process.execPath, [join(copy, 'scripts/setup.mjs'), 'stagedoor', '--help'], {})
    const describeAs = (text: string) => {
      writeFileSync(main, readFileSync(main, 'utf8').replace(/\.description\('[^']*'\)/, `.description('${text}')`))
    }

    before(() => {
      const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { workspaces: string[] }
      const manifests = globSync(
        workspaces.map(name => `${name}/package.json`),
        { cwd: root },
      )
      const sources = ['packages/server/src', 'packages/sdk/src', 'scripts/setup.mjs', 'scripts/bundle.ts']
      for (const file of ['package.json', 'package-lock.json', ...manifests, ...sources])
        cpSync(join(root, file), join(copy, file), { recursive: true, preserveTimestamps: true })
      symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction')
    })
    after(() => rmSync(copy, { recursive: true, force: true }))

    it('from a bundle that it makes once', async () => {
      assert.match(await help(), /Act as a user, accountably/)
      // If the bundle runs, and is not made again, then its text is what is printed.
      writeFileSync(command, readFileSync(command, 'utf8').replace('Act as a user, accountably', 'From the bundle'))
      assert.match(await help(), /From the bundle/)
    })

    it('with each change of a source, also one that leaves its size and makes it older', async () => {
      describeAs('Changed once')
      assert.match(await help(), /Changed once/)
      describeAs('Changed next')
      utimesSync(main, 0, 0)
      assert.match(await help(), /Changed next/)
      assert.deepEqual(readdirSync(bundle).sort(), [
        'LICENSES.txt',
        'cedar-worker.mjs',
        'reader-thread.mjs',
        'stagedoor.mjs',
      ])
    })

    it('from its sources if it cannot be bundled, and prints why', async () => {
      rmSync(bundle, { recursive: true })
      writeFileSync(bundle, 'a file where the folder should be')
      const printed = await help()
      assert.match(printed, /could not be bundled[\s\S]*(ENOTDIR|EEXIST)[\s\S]*Changed next/)
    })
  })
})
