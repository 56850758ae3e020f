/**
 * `npm run pack`: writes the packages as files that can be installed, before they are on a registry or without one.
 *
 *     npm run pack                    into the root of the repository
 *     npm run pack -- --to FOLDER     into another folder
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { isAbsolute, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildPackages, PACKAGES } from './build.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const onWindows = process.platform === 'win32'

/** The written files: npm packages in publishing order, and the wheel. */
export interface Packed {
  npm: string[]
  wheel: string | undefined
  /** Why there is no wheel. */
  noWheel?: string
  /** True if Python was found but the wheel could not be built. */
  failed?: boolean
}

/** Builds all packages and writes them into a folder. */
export function packAll(folder: string): Packed {
  mkdirSync(folder, { recursive: true })
  buildPackages()
  const npm = PACKAGES.map(name => packNpm(name, folder))
  return { npm, ...packWheel(folder) }
}

function packNpm(name: string, folder: string): string {
  const dist = join(root, 'packages', name, 'dist')
  const { status, stdout, stderr } = spawnSync(
    onWindows ? 'npm.cmd' : 'npm',
    ['pack', '--silent', '--pack-destination', folder],
    { cwd: dist, encoding: 'utf8', shell: onWindows },
  )
  const file = stdout?.trim().split('\n').at(-1)
  if (status !== 0 || !file) fail(`\`npm pack\` in ${dist} failed: ${stderr ?? ''}`)
  return join(folder, file)
}

/** Builds the wheel if this machine has Python 3.10 or later. pip downloads the build tool (hatchling) if it is missing. */
function packWheel(folder: string): Omit<Packed, 'npm'> {
  const python = findPython()
  if (!python) return { wheel: undefined, noWheel: 'No Python 3.10 or later with pip was found.' }
  const scratch = mkdtempSync(join(tmpdir(), 'stagedoor-wheel-'))
  try {
    // The environment of the tests already has the build tool, so no network is needed.
    const args = hasHatchling(python) ? ['--no-build-isolation'] : []
    const { status, stderr } = spawnSync(
      python,
      ['-m', 'pip', 'wheel', '--quiet', '--disable-pip-version-check', '--no-deps', ...args, '-w', scratch, '.'],
      { cwd: join(root, 'python'), encoding: 'utf8' },
    )
    const [file] = readdirSync(scratch).filter(name => name.endsWith('.whl'))
    if (status !== 0 || !file) return { wheel: undefined, noWheel: `\`pip wheel\` failed: ${stderr}`, failed: true }
    cpSync(join(scratch, file), join(folder, file))
    return { wheel: join(folder, file) }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Returns a Python 3.10 or later that has pip: from the tests' environment, else the machine's. */
export function findPython(): string | undefined {
  const own = join(root, 'python/.venv', onWindows ? 'Scripts/python.exe' : 'bin/python')
  const names = [...(existsSync(own) ? [own] : []), 'python3', 'python']
  return names.find(name => succeeds(name, 'import pip, sys; sys.exit(sys.version_info < (3, 10))'))
}

const hasHatchling = (python: string) => succeeds(python, 'import hatchling')

function succeeds(python: string, code: string): boolean {
  return spawnSync(python, ['-c', code], { stdio: 'ignore' }).status === 0
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}

function main(): void {
  const { values } = parseArgs({ options: { to: { type: 'string', default: root } } })
  // npm runs scripts in the root, and puts the folder where it was called into INIT_CWD.
  const from = process.env.INIT_CWD ?? process.cwd()
  const packed = packAll(isAbsolute(values.to) ? values.to : join(from, values.to))
  const shown = (file: string) => {
    const path = relative(from, file)
    return path.startsWith('..') ? file : `./${path}`
  }
  const [sdk = '', server = ''] = packed.npm
  console.log(`\nTypeScript SDK   npm install ${shown(sdk)}`)
  console.log(`Server           npm install ${shown(server)}`)
  if (packed.wheel) console.log(`Python SDK       pip install ${shown(packed.wheel)}`)
  else console.error(`\nNo Python wheel was built. ${packed.noWheel}`)
  if (packed.failed) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
