import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/** Bundles everything that one import adds to an app, minified, without Next.js's and Node's own modules. */
async function bundled(specifier: string): Promise<{ text: string; gzipped: number; files: string[] }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: `export * from '${specifier}'`, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    external: ['next/headers.js', 'node:*'],
  })
  const [{ text, contents } = { text: '', contents: new Uint8Array() }] = outputFiles
  return { text, gzipped: gzipSync(contents).length, files: Object.keys(metafile.inputs) }
}

describe('the bundle of an app', () => {
  for (const name of ['verify', 'express', 'fastify', 'hono', 'next', 'request', 'record-as']) {
    it(`with @stagedoor/sdk/${name}: is under 13 kB and has no code of the client`, async () => {
      const { gzipped, files } = await bundled(`@stagedoor/sdk/${name}`)
      assert.ok(gzipped < 13_000, `${gzipped} bytes`)
      assert.ok(files.some(file => file.endsWith(`packages/sdk/src/${name}.ts`)))
      const others = files.filter(file => /sdk\/src\/(http|stagedoor|resources|models|banner|react)/.test(file))
      assert.deepEqual(others, [])
      const packages = new Set(files.map(file => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]))
      packages.delete(undefined)
      assert.deepEqual([...packages], name === 'record-as' ? [] : ['jose'])
    })
  }
})
