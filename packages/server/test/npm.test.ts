import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type TestServer, testServer } from '../../../test/support/server.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const versionOf = (name: string) =>
  JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version as string
const JS = versionOf('@clerk/clerk-js')
const UI = versionOf('@clerk/ui')
const [major = '', minor = ''] = JS.split('.')
const FILE = 'dist/clerk.browser.js'

const serverFor = (directory: string) =>
  testServer({ env: { STAGEDOOR_SIGNING_ALG: 'EdDSA', STAGEDOOR_PACKAGES_DIRECTORY: directory } })
const get = (server: TestServer, path: string, method = 'GET') =>
  server.call(method, path, undefined, { authorization: undefined, origin: 'https://any.example' })

/** A folder with packages in it; each package is a list of files. */
function folderWith(packages: Record<string, Record<string, string>>): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'stagedoor-packages-'))
  for (const [name, files] of Object.entries(packages)) {
    for (const [file, content] of Object.entries(files)) {
      const target = join(path, 'node_modules', name, file)
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, content)
    }
  }
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

describe('the browser builds', () => {
  it('are the unchanged files of the installed packages, for every page', async () => {
    await using server = await serverFor(root)
    for (const [path, file] of [
      [`/npm/@clerk/clerk-js@${major}/${FILE}`, `@clerk/clerk-js/${FILE}`],
      [`/npm/@clerk/ui@${UI.split('.')[0]}/dist/ui.browser.js`, '@clerk/ui/dist/ui.browser.js'],
      [`/npm/@clerk/ui@${UI}/dist/themes/index.js`, '@clerk/ui/dist/themes/index.js'],
    ] as const) {
      const content = readFileSync(join(root, 'node_modules', file))
      const answer = await get(server, path)
      assert.equal(answer.status, 200, path)
      assert.ok(Buffer.from(answer.text).equals(content), path)
      const head = await get(server, path, 'HEAD')
      assert.deepEqual([head.status, head.text], [200, ''])
      for (const { headers } of [answer, head]) {
        assert.equal(headers.get('content-type'), 'text/javascript; charset=utf-8')
        assert.equal(headers.get('content-length'), String(content.length))
        assert.equal(headers.get('x-content-type-options'), 'nosniff')
        assert.equal(headers.get('access-control-allow-origin'), '*')
        assert.equal(headers.get('access-control-allow-credentials'), null)
        assert.equal(headers.get('cross-origin-resource-policy'), 'cross-origin')
        assert.equal(headers.get('set-cookie'), null)
      }
    }
    for (const method of ['POST', 'PUT', 'DELETE'])
      assert.equal((await get(server, `/npm/@clerk/clerk-js@${major}/${FILE}`, method)).status, 405)
  })

  it('have the requested version: an exact version is cached permanently, a range for a limited time', async () => {
    await using server = await serverFor(root)
    for (const [version, cached] of [
      [`@${JS}`, 'public, max-age=31536000, immutable'],
      [`@${major}.${minor}`, 'public, max-age=300'],
      [`@${major}`, 'public, max-age=300'],
      ['@latest', 'public, max-age=300'],
      ['', 'public, max-age=300'],
    ]) {
      const answer = await get(server, `/npm/@clerk/clerk-js${version}/${FILE}`)
      assert.deepEqual([answer.status, answer.headers.get('cache-control')], [200, cached], version)
    }
    for (const version of ['5', `${major}0`, `${major}.${minor}0`, `${JS}0`, `${JS}-beta`, 'canary', '6.', '.', 'x']) {
      const answer = await get(server, `/npm/@clerk/clerk-js@${version}/${FILE}`)
      const [error] = answer.body.errors
      assert.deepEqual([answer.status, error.code], [404, 'resource_not_found'], version)
      assert.equal(error.long_message, `@clerk/clerk-js ${JS} is installed on this server, not ${version}.`)
      assert.match(error.meta.action, new RegExp(`\`npm install @clerk/clerk-js@${version.replaceAll('.', '\\.')}\``))
      assert.equal(answer.headers.get('cache-control'), 'no-store, private')
    }
    using folder = folderWith({
      '@clerk/ui': { 'package.json': '{"version":"2.0.0-canary.v1"}', 'dist/ui.browser.js': '0' },
    })
    await using early = await serverFor(folder.path)
    for (const version of ['canary', '2', '2.0', '2.0.0-canary.v1'])
      assert.equal((await get(early, `/npm/@clerk/ui@${version}/dist/ui.browser.js`)).status, 200, version)
    assert.equal((await get(early, '/npm/@clerk/ui@2.0.0/dist/ui.browser.js')).status, 404)
  })

  it('that are not installed get an error with instructions; they are served once installed', async () => {
    using folder = folderWith({})
    await using server = await serverFor(join(folder.path, 'not', 'there', 'yet'))
    for (const [asked, which] of [
      ['clerk-js@6', '@clerk/clerk-js@6'],
      ['clerk-js', '@clerk/clerk-js@6'],
      ['clerk-js@7', '@clerk/clerk-js@7'],
      ['ui', '@clerk/ui@1'],
    ]) {
      const [error] = (await get(server, `/npm/@clerk/${asked}/dist/x.js`)).body.errors
      assert.match(error.long_message, /^@clerk\/(clerk-js|ui) is not installed on this server\.$/)
      assert.ok(error.meta.action.startsWith(`Run \`npm install ${which}\` `), error.meta.action)
    }
    // In a parent folder, which Node searches too.
    const target = join(folder.path, 'node_modules/@clerk/clerk-js')
    mkdirSync(join(target, 'dist'), { recursive: true })
    cpSync(join(root, 'node_modules/@clerk/clerk-js/package.json'), join(target, 'package.json'))
    writeFileSync(join(target, FILE), 'window.Clerk = 1')
    assert.equal((await get(server, `/npm/@clerk/clerk-js@${JS}/${FILE}`)).text, 'window.Clerk = 1')
    const [error] = (await get(server, '/npm/@clerk/clerk-js@6/dist/another.js')).body.errors
    assert.equal(error.long_message, `@clerk/clerk-js ${JS} has no dist/another.js.`)
  })

  it('have the content type of their file type, and other file types are not served', async () => {
    const files = ['a.js', 'a.mjs', 'a.css', 'a.js.map', 'a.js.LICENSE.txt', 'deep/er/a_b-c.1.js']
    const others = ['a.html', 'a.svg', 'a.json', 'a.d.ts', 'a', 'a.JS', '.hidden.js', '.deep/a.js', 'a.js.gz']
    using folder = folderWith({
      '@clerk/ui': {
        'package.json': '{"version":"1.0.0"}',
        ...Object.fromEntries([...files, ...others].map(file => [`dist/${file}`, '0'])),
      },
    })
    await using server = await serverFor(folder.path)
    const types = []
    for (const file of files) {
      const answer = await get(server, `/npm/@clerk/ui@1/dist/${file}`)
      assert.deepEqual([answer.status, answer.headers.get('x-content-type-options')], [200, 'nosniff'], file)
      types.push(answer.headers.get('content-type'))
    }
    const js = 'text/javascript; charset=utf-8'
    assert.deepEqual(types, [js, js, 'text/css; charset=utf-8', 'application/json', 'text/plain; charset=utf-8', js])
    for (const file of others) assert.equal((await get(server, `/npm/@clerk/ui@1/dist/${file}`)).status, 404, file)
  })
})

describe('E1 a path that leaves a package', () => {
  const outside = { 'package.json': '{"version":"6.0.0","secret":"canary"}', 'src/secret.js': 'canary' }
  const paths = [
    '/npm/@clerk/clerk-js@6/package.json',
    '/npm/@clerk/clerk-js@6/src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/../src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/x/../../src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/%2e%2e/src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/%2E%2E/src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/.%2e/src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/..%2fsrc/secret.js',
    '/npm/@clerk/clerk-js@6/dist/..%2fsrc%2fsecret.js',
    '/npm/@clerk/clerk-js@6/dist%2f..%2fsrc%2fsecret.js',
    '/npm/@clerk/clerk-js@6/dist/%252e%252e/src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/..%252fsrc%252fsecret.js',
    '/npm/@clerk/clerk-js@6/dist/..\\src\\secret.js',
    '/npm/@clerk/clerk-js@6/dist/..%5csrc%5csecret.js',
    '/npm/@clerk/clerk-js@6/dist/..%c0%afsrc/secret.js',
    '/npm/@clerk/clerk-js@6/dist/%u002e%u002e/src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/..;/src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/....//src/secret.js',
    '/npm/@clerk/clerk-js@6/dist//inside.js',
    '/npm/@clerk/clerk-js@6//dist/inside.js',
    '/npm/@clerk/clerk-js@6/dist/./../src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/inside.js%00',
    '/npm/@clerk/clerk-js@6/dist/..%00/src/secret.js',
    '/npm/@clerk/clerk-js@6/dist/inside.js%00.css',
    '/npm/@clerk/clerk-js@6/dist/inside.js/',
    '/npm/@clerk/clerk-js@6/dist/inside.js/x.js',
    '/npm/@clerk/clerk-js@6/dist/',
    '/npm/@clerk/clerk-js@6/dist',
    '/npm/@clerk/clerk-js@6/dist/folder.js',
    '/npm/@clerk/clerk-js@../../other@6/dist/secret.js',
    '/npm/@clerk/clerk-js@..%2f..%2fother/dist/secret.js',
    '/npm/@clerk/../other/dist/secret.js',
    '/npm/@clerk/%2e%2e/other/dist/secret.js',
    '/npm/@clerk/backend@6/dist/secret.js',
    '/npm/@clerk/clerk-js-evil@6/dist/secret.js',
    '/npm/other@6/dist/secret.js',
    '/npm/@clerk/clerk-js@6/dist/linked.js',
    '/npm/@clerk/clerk-js@6/dist/linked/secret.js',
    '/npm/@clerk/clerk-js@6/dist/linked-inside.js',
    '/npm/@clerk/clerk-js@6/dist/loop.js',
    `/npm/@clerk/clerk-js@6/dist/${'x'.repeat(300)}.js`,
    `/npm/@clerk/clerk-js@6/dist/${'x/'.repeat(3_000)}x.js`,
  ]

  /** A package with links of every kind, next to others with secrets. */
  function trapped() {
    const folder = folderWith({
      '@clerk/clerk-js': { ...outside, 'dist/inside.js': 'inside', 'dist/folder.js/x.txt': 'x' },
      '@clerk/clerk-js-evil': { ...outside, 'dist/secret.js': 'canary' },
      '@clerk/backend': { ...outside, 'dist/secret.js': 'canary' },
      other: { ...outside, 'dist/secret.js': 'canary' },
    })
    const dist = join(folder.path, 'node_modules/@clerk/clerk-js/dist')
    symlinkSync(join(folder.path, 'node_modules/other/dist/secret.js'), join(dist, 'linked.js'))
    symlinkSync(join(folder.path, 'node_modules/other/dist'), join(dist, 'linked'))
    symlinkSync('../src/secret.js', join(dist, 'linked-inside.js'))
    symlinkSync('loop.js', join(dist, 'loop.js'))
    return folder
  }

  it('is refused in process', async () => {
    using folder = trapped()
    await using server = await serverFor(folder.path)
    assert.equal((await get(server, '/npm/@clerk/clerk-js@6/dist/inside.js')).text, 'inside')
    for (const path of paths) {
      const answer = await get(server, path)
      assert.equal(answer.status, 404, path)
      assert.ok(!answer.text.includes('canary'), path)
    }
  })

  it('is refused as raw bytes over the wire', async () => {
    using folder = trapped()
    await using server = await serverFor(folder.path)
    const { port } = new URL(await server.listen())
    const raw = (path: string) =>
      new Promise<{ status: number; text: string }>((done, fail) => {
        request({ host: '127.0.0.1', port, path }, response => {
          let text = ''
          response.on('data', chunk => {
            text += chunk
          })
          response.on('end', () => done({ status: response.statusCode ?? 0, text }))
        })
          .on('error', fail)
          .end()
      })
    assert.deepEqual(await raw('/npm/@clerk/clerk-js@6/dist/inside.js'), { status: 200, text: 'inside' })
    for (const path of [...paths, `http://127.0.0.1:${port}/npm/@clerk/clerk-js@6/dist/../src/secret.js`]) {
      const { status, text } = await raw(path)
      // Node's adapter refuses what is not a valid address.
      assert.ok(status === 404 || status === 400, `${path}: ${status}`)
      assert.ok(!text.includes('canary'), path)
    }
  })

  it('works for packages that are symbolic links themselves, as some package managers create them', async () => {
    using store = folderWith({ '@clerk/ui': { 'package.json': '{"version":"1.2.3"}', 'dist/ui.browser.js': 'ui' } })
    using folder = folderWith({})
    mkdirSync(join(folder.path, 'node_modules/@clerk'), { recursive: true })
    symlinkSync(join(store.path, 'node_modules/@clerk/ui'), join(folder.path, 'node_modules/@clerk/ui'))
    await using server = await serverFor(folder.path)
    assert.equal((await get(server, '/npm/@clerk/ui@1.2.3/dist/ui.browser.js')).text, 'ui')
    assert.equal((await get(server, '/npm/@clerk/ui@1.2.3/package.json')).status, 404)
  })
})
