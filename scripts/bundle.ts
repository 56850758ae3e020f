/**
 * Bundles the `stagedoor` command: one JavaScript file with its dependencies, and one file for each of its threads. A
 * start that reads one file is faster than a start that reads a thousand. `npm start`, the image, the npm package and
 * the tests that start the command run the bundle.
 *
 *     node scripts/bundle.ts FOLDER [FINGERPRINT OF THE SOURCES]
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The file that runs the command, in the folder of the bundle. */
export const COMMAND = 'stagedoor.mjs'
/** The files of the threads. The command looks for each in its own folder. */
const THREADS = {
  'cedar-worker.mjs': 'packages/server/src/policy/cedar-worker.ts',
  'reader-thread.mjs': 'packages/server/src/store/sqlite/reader-thread.ts',
}
/** The file with the licences of the dependencies that are in the bundle. */
export const LICENCES = 'LICENSES.txt'

/** Packages that stay outside: native code, WebAssembly that is read from its file, and one that is optional and not installed. */
const EXTERNAL = ['better-sqlite3', '@cedar-policy/cedar-wasm', 'pg-native']

/**
 * Writes the bundle and the licences of what is in it. Replaces each file atomically.
 * @param sources is written into the bundle, to find out later whether it is stale
 * @param command the source of the command; tests bundle another one
 */
export function bundleCommand(folder: string, sources?: string, command = 'packages/server/src/cli/main.ts'): void {
  mkdirSync(folder, { recursive: true })
  const scratch = mkdtempSync(join(folder, '.new-'))
  try {
    const inputs = Object.entries(THREADS).flatMap(([file, entry]) => bundle(entry, join(scratch, file)))
    inputs.push(...bundle(command, join(scratch, COMMAND), sources))
    writeFileSync(join(scratch, LICENCES), licencesOf(inputs, COMMAND))
    // The command last: what it starts is there before it.
    for (const file of [LICENCES, ...Object.keys(THREADS), COMMAND]) renameSync(join(scratch, file), join(folder, file))
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Writes one bundle. @returns the files that are in it */
function bundle(entry: string, outfile: string, sources?: string): string[] {
  const { metafile } = buildSync({
    entryPoints: [join(root, entry)],
    outfile,
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22.18',
    external: EXTERNAL,
    // Not minified, so that stack traces in logs name functions, and lines that people can read.
    banner: {
      js: [
        ...(sources === undefined ? [] : [`// Sources: ${sources}`]),
        `import { createRequire as requireFrom } from 'node:module'`,
        `const require = requireFrom(import.meta.url)`,
      ].join('\n'),
    },
    metafile: true,
    logLevel: 'warning',
  })
  return Object.keys(metafile.inputs)
}

/**
 * Returns the licence texts of the npm packages that these files belong to.
 * @param what names the file that contains the packages
 */
export function licencesOf(files: string[], what: string): string {
  const folders = new Set(files.flatMap(file => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []))
  const texts = [...folders].sort().map(folder => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
    return `${name} ${version}: ${license}\n\n${licenceText(join(root, folder))}`
  })
  return `${what} contains these packages.\n\n${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}

/** Returns the licence of a package from its own file, or from the end of its README. */
function licenceText(folder: string): string {
  const names = readdirSync(folder)
  const file = names.find(name => /^(licen[cs]e|copying)/i.test(name))
  if (file !== undefined) return readFileSync(join(folder, file), 'utf8').trim()
  const readme = names.find(name => /^readme/i.test(name))
  const text = readme === undefined ? '' : readFileSync(join(folder, readme), 'utf8')
  const start = text.search(/^#+ licen[cs]e/im)
  if (start < 0) throw new Error(`${folder} has no licence.`)
  return text.slice(start).trim()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, sources] = process.argv.slice(2)
  if (folder === undefined) throw new Error('Name the folder: node scripts/bundle.ts FOLDER')
  bundleCommand(folder, sources)
}
