/** Builds the packages for publishing: writes JavaScript, types and a package.json that names them to packages/<name>/dist. */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildConsole } from './build-console.ts'
import { bundleCommand, COMMAND } from './bundle.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The folders under `packages` that are published, in the order in which they are built and published. */
export const PACKAGES = ['sdk', 'server'] as const

/** The folder of the `stagedoor` command in the server's package. */
const BIN = 'bin'

/** Builds every package. The server's types refer to the SDK's, so the SDK comes first. */
export function buildPackages(): void {
  for (const name of PACKAGES) build(name)
  bundleSdk()
  bundleCommand(join(root, 'packages/server/dist', BIN))
  buildConsole(join(root, 'packages/server/dist/console'))
}

/**
 * Puts the SDK inside the server's package, so that the server can be installed from its own file alone, with or
 * without a registry that has the SDK.
 */
function bundleSdk(): void {
  const inside = join(root, 'packages/server/dist/node_modules/@stagedoor/sdk')
  cpSync(join(root, 'packages/sdk/dist'), inside, { recursive: true })
}

function build(name: string): void {
  const home = join(root, 'packages', name)
  const out = join(home, 'dist')
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  const settings = {
    // A part of the SDK is for browsers. `npm run check` verifies that the rest uses no browser types.
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
    // The command is published as a bundle.
    exclude: ['../src/cli'],
  }
  writeFileSync(join(out, 'tsconfig.json'), JSON.stringify(settings))
  const { status } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(out, 'tsconfig.json')], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
  rmSync(join(out, 'tsconfig.json'))
  if (name === 'sdk') cpSync(join(home, 'src/banner/bundle.js'), join(out, 'src/banner/bundle.js'))

  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Manifest & { version: string }
  writeFileSync(join(out, 'package.json'), `${JSON.stringify(published(manifest), null, 2)}\n`)
  for (const file of ['LICENSE']) cpSync(join(root, file), join(out, file))
  if (existsSync(join(home, 'README.md'))) cpSync(join(home, 'README.md'), join(out, 'README.md'))
  console.log(`packages/${name}/dist: ${manifest.name} ${manifest.version}`)
}

interface Manifest {
  name: string
  private?: boolean
  scripts?: Record<string, string>
  dependencies: Record<string, string>
  exports: Record<string, string>
  /** Peers of the published package. As `peerDependencies` in this repository npm would install them for `npm start`. */
  optionalPeers?: Record<string, string>
  bin?: Record<string, string>
}

/** Returns the manifest for publishing: it points at JavaScript and types, and lacks `private` and `scripts`, which block packing the sources. */
function published(manifest: Manifest) {
  const built = (file: string) => file.replace(/\.ts$/, '.js')
  const exports = Object.fromEntries(
    Object.entries(manifest.exports).map(([path, file]) => [
      path,
      { types: file.replace(/\.ts$/, '.d.ts'), default: built(file) },
    ]),
  )
  const { optionalPeers = {}, private: _private, scripts: _scripts, ...rest } = manifest
  const own = Object.keys(manifest.dependencies).filter(name => name.startsWith('@stagedoor/'))
  const peers = Object.keys(optionalPeers).length > 0 && {
    peerDependencies: optionalPeers,
    peerDependenciesMeta: Object.fromEntries(Object.keys(optionalPeers).map(name => [name, { optional: true }])),
  }
  const bin = manifest.bin && Object.fromEntries(Object.keys(manifest.bin).map(name => [name, `${BIN}/${COMMAND}`]))
  return {
    ...rest,
    exports,
    ...peers,
    ...(bin ? { bin } : {}),
    // npm does not install the dependencies of a bundled package, so they are listed here.
    ...(own.length > 0 ? { dependencies: { ...sdkManifest().dependencies, ...manifest.dependencies } } : {}),
    ...(own.length > 0 ? { bundleDependencies: own } : {}),
  }
}

function sdkManifest(): Manifest {
  return JSON.parse(readFileSync(join(root, 'packages/sdk/package.json'), 'utf8')) as Manifest
}

function sdkTypes(): Record<string, string[]> {
  const { name, exports } = sdkManifest()
  return Object.fromEntries(
    Object.entries(exports).map(([path, file]) => [
      path.replace('.', name),
      [join(root, 'packages/sdk/dist', file.replace(/\.ts$/, '.d.ts'))],
    ]),
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildPackages()
