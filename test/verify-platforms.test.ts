import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { launchBrowser } from './support/browser.ts'
import { startProgram } from './support/processes.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const vectors = readFileSync(join(root, 'test/vectors/session-tokens.json'), 'utf8')
const expected = JSON.parse(vectors).groups.flatMap(({ tests }: { tests: { id: number; reason?: string }[] }) =>
  tests.map(({ id, reason = 'valid' }) => [id, reason]),
)

/** Runs the verifier on each vector; works on every JavaScript platform. */
const CHECK = `
import { createVerifier } from '@stagedoor/sdk/verify'
export async function check(text) {
  const { now, groups, about, ...options } = JSON.parse(text)
  const verify = createVerifier({ ...options, now: () => now * 1_000 })
  const said = []
  for (const { id, token } of groups.flatMap(group => group.tests)) {
    said.push([id, await verify(token).then(() => 'valid', error => error.reason ?? String(error))])
  }
  return said
}
`

async function bundled(more: string, format: 'esm' | 'iife'): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: CHECK + more, resolveDir: join(root, 'test') },
    bundle: true,
    format,
    platform: 'browser',
    write: false,
  })
  return outputFiles[0]?.text ?? ''
}

describe('the verifier gives the same result for all vectors', () => {
  it('in a browser', async () => {
    const script = await bundled('globalThis.check = check', 'iife')
    await using browser = await launchBrowser()
    // Web Crypto requires a secure page; 127.0.0.1 counts as one.
    await browser.page.route('http://127.0.0.1/', route => route.fulfill({ contentType: 'text/html', body: '<p>' }))
    await browser.page.goto('http://127.0.0.1/')
    await browser.page.addScriptTag({ content: script })
    const said = await browser.page.evaluate(
      text => (globalThis as unknown as { check(text: string): Promise<unknown> }).check(text),
      vectors,
    )
    assert.deepEqual(said, expected)
    assert.deepEqual(browser.errors, [])
  })

  const workerd = join(root, 'node_modules/@cloudflare/workerd-linux-64/bin/workerd')
  it('on Workers', { skip: existsSync(workerd) ? false : 'npm has no workerd for this machine' }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stagedoor-worker-'))
    const worker = 'export default { async fetch(request) { return Response.json(await check(await request.text())) } }'
    writeFileSync(join(folder, 'worker.js'), await bundled(worker, 'esm'))
    writeFileSync(
      join(folder, 'config.capnp'),
      `using Workerd = import "/workerd/workerd.capnp";
const worker :Workerd.Worker = (modules = [(name = "worker", esModule = embed "worker.js")], compatibilityDate = "2026-01-01");
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")]
);
`,
    )
    try {
      await using running = await startProgram(workerd, ['serve', 'config.capnp', '--control-fd=1'], {
        cwd: folder,
        url: '',
        ready: /"port":\d+/,
      })
      const port = /"port":(\d+)/.exec(running.output())?.[1]
      const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: vectors })
      assert.deepEqual(await response.json(), expected)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
