import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, normalize } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { bapi } from '../src/contract/bapi.ts'
import { fapi } from '../src/contract/fapi.ts'
import { isForUsersOnly } from '../src/contract/operation.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const files = globSync(['packages/server/src/**/*.ts', 'packages/sdk/src/**/*.ts'], { cwd: root })

/** The source without the lines of doc comments. */
function codeOf(file: string): string {
  return readFileSync(join(root, file), 'utf8').replace(/^ *\/?\*.*$/gm, '')
}

interface Import {
  from: string
  /** A file of the project, or the name of a package. */
  to: string
  typeOnly: boolean
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/^(?:import|export) (type )?(?:[\w*{}\s,]+ from )?'([^']+)'/gm)].map(
    ([, type, specifier = '']) => ({
      from: file,
      to: specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier,
      typeOnly: type !== undefined,
    }),
  )
}

/** `packages/server/src/http/bapi/users.ts` is in the folder `http`; a file directly in `src` counts as a folder of its own. */
function roomOf(file: string): string {
  const server = /^packages\/server\/src\/(?:(\w+)\/|([\w-]+\.ts))/.exec(file)
  if (server) return server[1] ?? server[2] ?? ''
  return file.startsWith('packages/sdk/') ? 'sdk' : file
}

/** What each folder may import: first folders, then packages. `node:` stands for any module of Node. */
const rules: Record<string, string[]> = {
  contract: ['contract', 'zod'],
  domain: ['domain', 'contract', 'node:crypto', 'zod (types)'],
  store: ['store', 'domain', 'kysely', 'better-sqlite3', 'pg', 'node:'],
  signing: ['signing', 'domain', 'node:crypto', 'node:os', 'node:util'],
  publish: ['publish', 'domain', 'node:'],
  policy: ['policy', 'contract', 'domain', '@cedar-policy/cedar-wasm', 'node:'],
  telemetry: ['telemetry', 'contract', 'domain (types)', 'prom-client', '@opentelemetry/api', 'pino', 'node:http'],
  jobs: ['jobs', 'domain', 'telemetry (types)', 'pino (types)', 'node:timers/promises'],
  http: [
    'http',
    'contract',
    'domain',
    'telemetry (types)',
    'hono',
    'openid-client',
    '@simplewebauthn/server',
    'zod',
    'pino (types)',
    'node:',
  ],
  cli: [
    'cli',
    'publish',
    'server.ts',
    'maintenance.ts',
    'config.ts',
    'config-rules.ts',
    'diagnosis.ts',
    'domain',
    'contract',
    'sdk',
    '@stagedoor/sdk',
    'commander',
    'csv-parse',
    'pino',
    'node:',
    'packages/server/package.json',
  ],
  'config.ts': ['config-audit.ts', 'config-console.ts', 'config-forms.ts', 'zod'],
  'config-audit.ts': ['config-forms.ts', 'zod'],
  'config-console.ts': ['config-forms.ts', 'zod'],
  'config-forms.ts': ['zod', 'node:net'],
  'config-rules.ts': ['config.ts', 'secret-strength.ts'],
  'secret-strength.ts': [],
  'diagnosis.ts': ['config.ts', 'config-rules.ts', 'domain', 'node:'],
  'audit-setup.ts': ['config.ts', 'domain', 'publish', 'pino (types)'],
  'policy-file.ts': ['config.ts', 'contract', 'domain', 'pino (types)', 'node:fs'],
  'server.ts': [
    'audit-setup.ts',
    'config.ts',
    'policy-file.ts',
    'diagnosis.ts',
    'config-rules.ts',
    'domain',
    'http',
    'jobs',
    'policy',
    'signing',
    'store',
    'telemetry',
    '@hono/node-server',
    'pino (types)',
    'node:',
    'packages/server/package.json',
  ],
  'maintenance.ts': ['server.ts', 'audit-setup.ts', 'config.ts', 'domain', 'store', 'pino', 'node:'],
  sdk: ['sdk', 'jose', 'react', 'fastify (types)', 'hono (types)', 'node:'],
}

function allowed({ from, to, typeOnly }: Import): boolean {
  const rule = rules[roomOf(from)] ?? []
  const target = to.startsWith('packages/') && to.endsWith('.ts') ? roomOf(to) : to
  return rule.some(entry => {
    if (entry.endsWith(' (types)')) return typeOnly && entry === `${target} (types)`
    if (entry === 'node:') return target.startsWith('node:')
    return target === entry || (!/[.:]/.test(entry) && target.startsWith(`${entry}/`))
  })
}

describe('architecture', () => {
  const imports = files.flatMap(importsOf)

  it('the test finds the source files', () => {
    assert.ok(files.length > 50 && imports.length > 150, `${files.length} files, ${imports.length} imports`)
  })

  it('imports point one way: contract ← domain ← store, signing, policy, publish; http → contract, domain; jobs → domain; only server.ts wires', () => {
    const wrong = imports.filter(each => !allowed(each)).map(({ from, to }) => `${from} imports ${to}`)
    assert.deepEqual(wrong, [])
  })

  it('commands load the server only when they need it: `--help` and a request to a server start without it', () => {
    const server = ['packages/server/src/server.ts', 'packages/server/src/maintenance.ts']
    const atOnce = imports.filter(
      ({ from, to, typeOnly }) => from.startsWith('packages/server/src/cli/') && server.includes(to) && !typeOnly,
    )
    assert.deepEqual(atOnce, [])
  })

  it('the banner imports only itself: it runs in the pages of others', () => {
    const folder = 'packages/sdk/src/banner/'
    const outside = imports.filter(({ from, to }) => from.startsWith(folder) && !to.startsWith(folder))
    assert.deepEqual(outside, [])
  })

  it('has no import cycle, not even of types', () => {
    const next = Map.groupBy(imports, each => each.from)
    const done = new Set<string>()
    const visit = (file: string, path: string[]): void => {
      const start = path.indexOf(file)
      assert.equal(start, -1, `cycle: ${[...path.slice(start), file].join(' → ')}`)
      if (done.has(file)) return
      for (const { to } of next.get(file) ?? []) visit(to, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
  })

  it('says in each folder what it is for, in a sentence or two', () => {
    const folders = new Set(files.filter(file => file.startsWith('packages/server/src/')).map(file => dirname(file)))
    folders.delete('packages/server/src')
    for (const folder of folders) {
      const text = readFileSync(join(root, folder, 'README.md'), 'utf8')
      assert.match(text, /^[A-Z][^\n]{20,300}\.\n$/, folder)
    }
  })

  it('takes time, ids and randomness from ctx', () => {
    const sources = ['packages/server/src/domain/random.ts']
    const pattern = /Date\.now\(|new Date\(\)|Math\.random|random(Bytes|UUID|FillSync|Int)\(/
    const offenders = files
      .filter(file => /src\/(contract|domain|store|jobs|http)\//.test(file) && !sources.includes(file))
      .filter(file => pattern.test(codeOf(file)))
    assert.deepEqual(offenders, [])
  })

  it('lets a browser change state while it acts as a user only with these operations', () => {
    const changing = fapi.filter(each => each.auth === 'client' && (each.method !== 'get' || each.action !== undefined))
    assert.deepEqual(
      changing.filter(each => each.whileActing).map(each => each.id),
      [
        // Begin to act as another user.
        'confirmTicket',
        'createSignIn',
        // Leave.
        'removeClientSessionsAndRetainCookie',
        'deleteClientSessions',
        // Mint.
        'createSessionToken',
        'createSessionTokenWithTemplate',
        // Touch and select; leave.
        'touchSession',
        'endSession',
        'removeSession',
      ],
    )
    // One that is for users only is refused while acting, and needs a test of that.
    assert.deepEqual(
      changing.filter(isForUsersOnly).map(each => each.id),
      [],
    )
    const unneeded = [...bapi, ...fapi].filter(each => each.whileActing && !changing.includes(each))
    assert.deepEqual(unneeded, [])
  })

  it('reads the environment in one place', () => {
    const offenders = files.filter(file => !/src\/(config\.ts|cli\/)/.test(file) && /process\.env/.test(codeOf(file)))
    assert.deepEqual(offenders, [])
  })

  it('pins every dependency exactly and uses every dependency', () => {
    for (const folder of ['.', 'packages/server', 'packages/sdk']) {
      const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
      const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies }
      for (const [name, version] of Object.entries(all)) {
        assert.match(String(version), /^\d+\.\d+\.\d+$/, `${folder}: ${name} ${String(version)}`)
      }
      const used = new Set(imports.filter(each => each.from.startsWith(folder)).map(each => each.to))
      const unused = Object.keys(manifest.dependencies ?? {}).filter(
        name => ![...used].some(to => to === name || to.startsWith(`${name}/`)),
      )
      assert.deepEqual(unused, [], `${folder} has dependencies that it does not import`)
    }
  })

  it('imports modules of Node only with node:', () => {
    assert.deepEqual(
      imports.filter(each => builtinModules.includes(each.to)),
      [],
    )
  })
})
