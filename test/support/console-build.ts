import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A console for tests of the server: a page with one script, in the form of the built one. */
export interface ConsoleBuild extends Disposable {
  folder: string
  /** The path of its script: `assets/main-0123abcd.js`. */
  script: string
}

/** @param code of the script of the page */
export function consoleBuild(code = 'document.title = "The console"'): ConsoleBuild {
  const folder = mkdtempSync(join(tmpdir(), 'stagedoor-console-'))
  const script = 'assets/main-0123abcd.js'
  const style = 'assets/main-0123abcd.css'
  mkdirSync(join(folder, 'assets'))
  writeFileSync(join(folder, script), `${code}\n${'// padding\n'.repeat(200)}`)
  writeFileSync(join(folder, style), 'body { margin: 1rem }\n')
  writeFileSync(join(folder, 'assets/not-in-the-manifest.js'), 'secret')
  writeFileSync(join(folder, 'licences.txt'), 'MIT')
  writeFileSync(
    join(folder, 'index.html'),
    `<!doctype html><html lang="en"><title>Console</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/console/${style}"><script type="module" src="/console/${script}"></script><body></body></html>`,
  )
  const file = { bytes: 1, gzip: 1, entry: true }
  writeFileSync(
    join(folder, 'manifest.json'),
    JSON.stringify({
      files: { [script]: file, [style]: file, '../index.html': file, 'assets/../../x': file },
      licences: 'licences.txt',
    }),
  )
  return {
    folder,
    script,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}
