import { readFile } from 'node:fs/promises'
import type { Http } from '../mount.ts'

const CACHED_SECONDS = 300

/** Serves `<stagedoor-banner>` for pages without a bundler: `@stagedoor/sdk/banner` as one script. */
export function mountBanner({ app }: Http): void {
  let script: Promise<string> | undefined
  app.get('/banner.js', async () => {
    script ??= readFile(new URL('bundle.js', import.meta.resolve('@stagedoor/sdk/banner')), 'utf8')
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
