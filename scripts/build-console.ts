/**
 * Builds the console for browsers: hashed files, `index.html` and `manifest.json`, which lists the files with their sizes.
 * The same sources give the same bytes.
 *
 *     node scripts/build-console.ts FOLDER [FINGERPRINT OF THE SOURCES]
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { buildSync, type Metafile } from 'esbuild'
import { licencesOf } from './bundle.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = 'packages/console'

/** The file with the fingerprint of the sources. It is not part of the build: fingerprints differ between machines. */
export const FINGERPRINT = '.sources'

/** One built file. */
export interface ConsoleFile {
  bytes: number
  /** Its size when it is compressed with gzip, level 9. */
  gzip: number
  /** The screen that it loads with. Absent: the first screen, or several screens. */
  route?: string
  /** The script that starts the console. */
  entry?: true
  /** Files that load with it. */
  imports?: string[]
}

export interface ConsoleManifest {
  files: Record<string, ConsoleFile>
  /** The file with the licences of the packages that are in the build. */
  licences: string
}

/**
 * Builds the console into a folder, which it replaces.
 * @param sources is stored with the build, to find out later whether it is stale
 */
export function buildConsole(folder: string, sources?: string): ConsoleManifest {
  mkdirSync(dirname(folder), { recursive: true })
  const scratch = mkdtempSync(join(dirname(folder), '.new-console-'))
  try {
    const { metafile } = buildSync({
      entryPoints: { console: join(root, source, 'src/main.tsx') },
      outdir: join(scratch, 'assets'),
      entryNames: '[name]-[hash]',
      chunkNames: '[name]-[hash]',
      absWorkingDir: root,
      bundle: true,
      splitting: true,
      minify: true,
      platform: 'browser',
      format: 'esm',
      target: ['chrome123', 'firefox121', 'safari17.5'],
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': '"production"' },
      legalComments: 'none',
      metafile: true,
      logLevel: 'error',
    })
    const manifest = manifestOf(metafile, scratch)
    const inputs = Object.values(metafile.outputs).flatMap(output => Object.keys(output.inputs))
    const outlines = readFileSync(join(root, source, 'LUCIDE-LICENSE.txt'), 'utf8').trim()
    writeFileSync(
      join(scratch, manifest.licences),
      `${licencesOf(inputs, 'The console')}\n${'-'.repeat(80)}\n\nlucide 1.73.0, the icons: ISC\n\n${outlines}\n`,
    )
    writeFileSync(join(scratch, 'index.html'), pageOf(manifest))
    writeFileSync(join(scratch, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
    if (sources !== undefined) writeFileSync(join(scratch, FINGERPRINT), sources)
    rmSync(folder, { recursive: true, force: true })
    renameSync(scratch, folder)
    return manifest
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function manifestOf(metafile: Metafile, folder: string): ConsoleManifest {
  const name = (path: string) => relative(folder, join(root, path)).replaceAll('\\', '/')
  const described = Object.entries(metafile.outputs).map(([path, output]): [string, ConsoleFile] => {
    const content = readFileSync(join(root, path))
    const screen = /\/screens\/([\w-]+)\.tsx$/.exec(output.entryPoint ?? '')?.[1]
    const imports = output.imports.filter(({ kind }) => kind === 'import-statement').map(({ path }) => name(path))
    return [
      name(path),
      {
        bytes: content.length,
        gzip: gzipSync(content, { level: 9 }).length,
        ...(screen === undefined ? {} : { route: screen }),
        ...(basename(output.entryPoint ?? '') === 'main.tsx' ? { entry: true } : {}),
        ...(imports.length === 0 ? {} : { imports }),
      },
    ]
  })
  return {
    files: Object.fromEntries(described.sort(([a], [b]) => (a < b ? -1 : 1))),
    licences: 'licences.txt',
  }
}

/** Returns the page that loads the console: its style sheet, its script, and what the script imports. */
function pageOf({ files }: ConsoleManifest): string {
  const [entry = '', { imports = [] } = {}] = Object.entries(files).find(([, file]) => file.entry) ?? []
  const styles = Object.keys(files).filter(file => file.endsWith('.css'))
  const tags = [
    ...styles.map(file => `<link rel="stylesheet" href="/console/${file}">`),
    ...imports.map(file => `<link rel="modulepreload" href="/console/${file}">`),
    `<script type="module" src="/console/${entry}"></script>`,
  ]
  return readFileSync(join(root, source, 'index.html'), 'utf8').replace('<!-- assets -->', tags.join('\n'))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, sources] = process.argv.slice(2)
  if (folder === undefined) throw new Error('Name the folder: node scripts/build-console.ts FOLDER')
  buildConsole(folder, sources)
}
