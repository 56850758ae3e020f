/** Builds what is published: packages/<name>/dist holds JavaScript, types and a package.json that points at them. */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

// The server's types refer to the SDK's, so the SDK comes first.
for (const name of ['sdk', 'server']) build(name)

function build(name: string): void {
  const home = join(root, 'packages', name)
  const out = join(home, 'dist')
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  const settings = {
    // The SDK has a part for browsers; the check has made sure that the rest of it knows nothing of them.
    extends: name === 'sdk' ? '../../../tsconfig.browser.json' : '../../../tsconfig.json',
    compilerOptions: {
      noEmit: false,
      allowImportingTsExtensions: true,
      declaration: true,
      rootDir: '..',
      outDir: '.',
      paths: name === 'sdk' ? {} : sdkTypes(),
    },
    include: ['../src'],
    exclude: [],
  }
  writeFileSync(join(out, 'tsconfig.json'), JSON.stringify(settings))
  const { status } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(out, 'tsconfig.json')], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
  rmSync(join(out, 'tsconfig.json'))

  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  writeFileSync(join(out, 'package.json'), `${JSON.stringify(published(manifest), null, 2)}\n`)
  for (const file of ['LICENSE']) cpSync(join(root, file), join(out, file))
  if (existsSync(join(home, 'README.md'))) cpSync(join(home, 'README.md'), join(out, 'README.md'))
  console.log(`packages/${name}/dist: ${manifest.name} ${manifest.version}`)
}

interface Manifest {
  exports: Record<string, string>
  /** Peers of what is published. Named as such here, npm would install them for whoever only starts the server. */
  optionalPeers?: Record<string, string>
  bin?: Record<string, string>
}

/** The same manifest, pointing at JavaScript and types. */
function published<T extends Manifest>(manifest: T) {
  const built = (file: string) => file.replace(/\.ts$/, '.js')
  const exports = Object.fromEntries(
    Object.entries(manifest.exports).map(([path, file]) => [
      path,
      { types: file.replace(/\.ts$/, '.d.ts'), default: built(file) },
    ]),
  )
  const { optionalPeers = {}, ...rest } = manifest
  const peers = Object.keys(optionalPeers).length > 0 && {
    peerDependencies: optionalPeers,
    peerDependenciesMeta: Object.fromEntries(Object.keys(optionalPeers).map(name => [name, { optional: true }])),
  }
  const bin =
    manifest.bin && Object.fromEntries(Object.entries(manifest.bin).map(([name, file]) => [name, built(file)]))
  return { ...rest, exports, ...peers, ...(bin ? { bin } : {}) }
}

function sdkTypes(): Record<string, string[]> {
  const { name, exports } = JSON.parse(readFileSync(join(root, 'packages/sdk/package.json'), 'utf8')) as Manifest & {
    name: string
  }
  return Object.fromEntries(
    Object.entries(exports).map(([path, file]) => [
      path.replace('.', name),
      [join(root, 'packages/sdk/dist', file.replace(/\.ts$/, '.d.ts'))],
    ]),
  )
}
