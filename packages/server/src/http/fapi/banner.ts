import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Http } from '../mount.ts'

const CACHED_SECONDS = 300

/** Serves `<stagedoor-banner>` for pages without a bundler. It is the same file as `@stagedoor/sdk/banner`. */
export function mountBanner({ app }: Http): void {
  let script: Promise<string> | undefined
  app.get('/banner.js', async () => {
    script ??= read()
    return new Response(await script, {
      headers: {
        'content-type': 'text/javascript; charset=utf-8',
        'x-content-type-options': 'nosniff',
        // A public script: any page may load it.
        'access-control-allow-origin': '*',
        'cross-origin-resource-policy': 'cross-origin',
        'cache-control': `public, max-age=${CACHED_SECONDS}`,
      },
    })
  })
}

async function read(): Promise<string> {
  const path = fileURLToPath(import.meta.resolve('@stagedoor/sdk/banner'))
  const text = await readFile(path, 'utf8')
  return path.endsWith('.ts') ? stripTypeScriptTypes(text) : text
}
