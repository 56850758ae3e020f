import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { settings } from '../packages/server/src/config.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .trim()
  .split('\n')
  .filter(file => existsSync(join(root, file)))
const pages = tracked.filter(file => file.endsWith('.md') && !file.includes('/fixtures/'))

/** Anchors, as links use them. */
const headingsOf = (text: string) =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )

describe('the documentation', () => {
  it('has no link to a missing file or heading', () => {
    const broken: string[] = []
    for (const page of pages) {
      const text = readFileSync(join(root, page), 'utf8').replace(/```[\s\S]*?```/g, '')
      for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue
        const [file, heading] = target.split('#')
        const path = file ? join(root, dirname(page), file) : join(root, page)
        const there = existsSync(path)
        if (!there || (heading && !headingsOf(readFileSync(path, 'utf8')).includes(heading)))
          broken.push(`${page}: ${target}`)
      }
    }
    assert.ok(pages.length >= 12, `${pages.length} pages`)
    assert.deepEqual(broken, [])
  })

  it('names no missing setting or npm script', () => {
    const scripts = Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts)
    const known = [...settings.map(setting => setting.env), 'STAGEDOOR_SERVER_URL']
    for (const page of pages) {
      const text = readFileSync(join(root, page), 'utf8')
      for (const [name] of text.matchAll(/STAGEDOOR_[A-Z_]*[A-Z]/g)) assert.ok(known.includes(name), `${page}: ${name}`)
      for (const [, script = ''] of text.matchAll(/npm run ([\w:]+)/g))
        assert.ok(scripts.includes(script), `${page}: npm run ${script}`)
    }
  })
})

describe('code in the documentation', () => {
  it('matches, line by line, the file that it is taken from', () => {
    let blocks = 0
    for (const page of pages) {
      const text = readFileSync(join(root, page), 'utf8')
      for (const [, file = '', code = ''] of text.matchAll(/^<!-- in (\S+) -->\n```\w*\n([\s\S]*?)```/gm)) {
        const lines = readFileSync(join(root, file), 'utf8')
          .split('\n')
          .map(line => line.trim())
        for (const shown of code.trim().split('\n')) {
          const line = shown.replace(/ \/\/ .*/, '').trim()
          assert.ok(
            lines.some(each => each.endsWith(line)),
            `${page}: ${file} has no line ${line}`,
          )
        }
        blocks++
      }
    }
    assert.ok(blocks >= 8, `${blocks} blocks`)
  })
})

describe('the TypeScript and JavaScript in the documentation', () => {
  it('compiles under `strict`, block by block', { timeout: 60_000 }, () => {
    // Inside the repository, so that packages are found.
    const folder = mkdtempSync(join(root, 'node_modules/.stagedoor-docs-'))
    try {
      const count = pages.reduce((sum, page) => sum + writeBlocks(page, folder), 0)
      assert.ok(count >= 30, `${count} blocks`)
      writeFileSync(join(folder, 'reader.d.ts'), READER)
      writeFileSync(join(folder, 'session.ts'), SESSION)
      // Listed one by one: the compiler skips folders whose name begins with a dot.
      const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(file => /\.tsx?$/.test(file))
      writeFileSync(
        join(folder, 'tsconfig.json'),
        JSON.stringify({ compilerOptions: STRICT, files: [...files, '../../packages/sdk/src/next-headers.d.ts'] }),
      )
      const tsc = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
      assert.equal(tsc.stdout, '')
      assert.equal(tsc.status, 0, tsc.stderr)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

const STRICT = {
  noEmit: true,
  strict: true,
  target: 'es2024',
  lib: ['es2024', 'es2025.intl', 'esnext.disposable', 'dom'],
  module: 'esnext',
  moduleResolution: 'bundler',
  allowImportingTsExtensions: true,
  jsx: 'react-jsx',
  types: ['node'],
  typeRoots: ['../@types'],
  skipLibCheck: true,
}

/** What a reader's app has, for blocks that do not import it. */
const READER = `
declare module 'cookie-session' {
  export default function cookieSession(options: object): import('express').RequestHandler
}
declare module '*/pages.js' {
  export function page(title: string, request: import('express').Request | undefined, html: string): string
  export function text(value: unknown): string
}
declare module 'next/navigation' {
  export function redirect(url: string): never
}
`
/** An app may keep anything in its session. */
const SESSION = `
import 'express-session'
declare module 'express-session' {
  interface SessionData { adminId?: string | undefined; userId?: string }
}
`
type Names = Record<string, string>
const express = "import('express')"
const sdk = "import('@stagedoor/sdk/express')"
const READERS: Names = {
  app: `${express}.Express`,
  auth: 'Auth',
  session: '{ act: { sub: string }; email: string; endsAt: number }',
  stagedoor: "import('@stagedoor/sdk').Stagedoor",
  query: '{ __clerk_ticket: string }',
  redirect: '(url: string) => never',
  startMySession: '(session: { userId: string | null; act: { sub: string }; endsAt: number }) => void',
  authenticate: `typeof ${sdk}.authenticate`,
  forbidActing: `typeof ${sdk}.forbidActing`,
  getAuth: `typeof ${sdk}.getAuth`,
  mySession: `(request: ${express}.Request) => import('@stagedoor/sdk/express').OwnSession | undefined`,
  deleteAccount: `${express}.RequestHandler`,
  requireUser: `${express}.RequestHandler`,
  requireAdmin: `${express}.RequestHandler`,
  requireSupport: `${express}.RequestHandler`,
  findUser: '(id: string) => { id: string; name: string; email: string }',
  secretKey: 'string',
  publishableKey: 'string',
  operatorId: 'string',
  userId: 'string',
  issuer: 'string',
  token: 'string',
  jwks: 'import("@stagedoor/sdk/models/components").JsonWebKeySet',
  verifySessionToken: "typeof import('@stagedoor/sdk/verify').verifySessionToken",
  forbidden: '(why: string) => Response',
  Clerk: '{ session: { getToken(options: { template: string }): Promise<string> } }',
  STAGEDOOR_SERVER_URL: 'string',
  lastSeen: 'Map<string | null, number>',
  startStagedoor: "typeof import('@stagedoor/sdk/testing').startStagedoor",
  signInAs: "typeof import('@stagedoor/sdk/testing').signInAs",
  browser: "{ page: import('playwright-core').Page }",
  user: "import('@stagedoor/sdk/models/components').User",
  actor: '{ sub: string }',
  response: `${express}.Response`,
  request: `${express}.Request`,
  page: '(title: string, html: string) => string',
  Stagedoor: "typeof import('@stagedoor/sdk').Stagedoor",
  CLERK_SECRET_KEY: 'string',
  CLERK_API_URL: 'string',
  copyOf: "(user: import('@stagedoor/sdk/models/components').User) => { externalId: string }",
}
/** Other declarations for blocks that contain a certain word. */
const ELSEWHERE: [word: string, names: Names][] = [
  ['@stagedoor/sdk/fastify', { app: "import('fastify').FastifyInstance" }],
  ['@stagedoor/sdk/hono', { app: "import('hono').Hono" }],
  ['@stagedoor/sdk/request', { request: 'Request' }],
  ['./auth.js', {}],
  [
    'addActing(app',
    {
      session: `${express}.RequestHandler`,
      addActing: "typeof import('./stagedoor.ts').addActing",
      startSession: "typeof import('./session.ts').startSession",
    },
  ],
  ['RequestHandler', { RequestHandler: `${express}.RequestHandler`, page: "typeof import('./pages.js').page" }],
  ["from '@clerk/", {}],
  ['getAuth(request)\nif', { getAuth: "typeof import('@clerk/express').getAuth" }],
]
/** Blocks that other blocks import, with their file names. */
const NAMED: [marker: string, file: string][] = [
  ['export function addActing', 'stagedoor.ts'],
  ['import expressSession', 'session.ts'],
  ['import cookieSession', 'cookie-session.ts'],
  ["authenticate } from '@stagedoor/sdk/next'", 'auth.ts'],
]

/** Writes each block of a page to a file. @returns the number of blocks */
function writeBlocks(page: string, folder: string): number {
  const text = readFileSync(join(root, page), 'utf8')
  const home = join(folder, page.replaceAll('/', '-').replace('.md', ''), 'a', 'b')
  mkdirSync(home, { recursive: true })
  const pattern = /^(?:<!-- in (\S+) -->\n)?```(tsx?|jsx?|typescript|javascript)\n([\s\S]*?)^```/gm
  // The reference has signatures and the examples of docstrings. Lines of a TypeScript file are checked there.
  const blocks = page.startsWith('docs/reference/')
    ? []
    : [...text.matchAll(pattern)].filter(([, file]) => !file || !/\.tsx?$/.test(file))
  for (const [index, [, , kind = '', code = '']] of blocks.entries()) {
    const named = NAMED.find(([marker]) => code.includes(marker))?.[1]
    const jsx = kind === 'tsx' || /^\s+<\w/m.test(code)
    writeFileSync(join(home, named ?? `block-${index}.${jsx ? 'tsx' : 'ts'}`), moduleOf(code))
  }
  return blocks.length
}

/** Turns a block into a module: its imports, the reader's declarations, and the rest, which may await and return. */
function moduleOf(code: string): string {
  const names = Object.assign({}, READERS, ...ELSEWHERE.map(([word, more]) => (code.includes(word) ? more : {})))
  const imports = [...code.matchAll(/^import .*$/gm)].map(([line]) => line)
  const rest = code.replace(/^import .*\n/gm, '')
  const isModule = /^export |^declare module/m.test(rest)
  const used = Object.keys(names).filter(
    name =>
      new RegExp(`\\b${name}\\b`).test(rest) &&
      !new RegExp(`\\b${name}\\b`).test(imports.join('\n').replace(/ from .*/g, '')),
  )
  const own = (name: string) => new RegExp(`(const|function|let) \\{?[^=]*\\b${name}\\b`).test(rest)
  const reader = used
    .filter(name => !isModule || !own(name))
    .map(name =>
      name === 'RequestHandler' ? `type RequestHandler = ${names[name]}` : `declare const ${name}: ${names[name]}`,
    )
  const auth = "type Auth = import('@stagedoor/sdk/express').Auth"
  const body = isModule ? rest : `export async function block() {\n${rest}\n}`
  return [...imports, auth, ...reader, body].join('\n').replace(/'[./]+auth\.js'/g, "'./auth.ts'")
}

describe('the repository', () => {
  it('names only commands of its own package: `npx` + `stagedoor` would run another publisher’s package', () => {
    for (const file of tracked) {
      if (/\.(png|jpg)$/.test(file) || file === 'test/docs.test.ts') continue
      assert.doesNotMatch(readFileSync(join(root, file), 'utf8'), /npx (--\S+ )*stagedoor/, file)
    }
  })

  it('shows how to install the SDKs from files, in each page that begins with them', () => {
    for (const page of [
      'README.md',
      'packages/sdk/README.md',
      'docs/guides/bolt-on.md',
      'docs/guides/quick-starts.md',
      'docs/guides/banner.md',
      'docs/guides/moving-from-hand-made.md',
    ])
      assert.match(readFileSync(join(root, page), 'utf8'), /npm install \.\/stagedoor-sdk-[\d.]+\.tgz/, page)
    for (const page of ['README.md', 'python/README.md'])
      assert.match(readFileSync(join(root, page), 'utf8'), /pip install \.\/stagedoor-[\d.]+-py3-none-any\.whl/, page)
  })

  it('names no registry in its lock file, so that every registry can be used', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { resolved?: string }>
    }
    const named = Object.entries(lock.packages).filter(([, { resolved }]) => resolved?.startsWith('http'))
    assert.deepEqual(
      named.map(([name]) => name),
      [],
    )
  })

  it('contains no secret: no private key, no API key, no database', () => {
    const pattern = /-----BEGIN [A-Z ]*PRIVATE KEY|sk_(live|test)_[0-9a-f]{40,}/
    for (const file of tracked) {
      assert.doesNotMatch(file, /\.(db|sqlite|pem|env)$/)
      if (/\.(png|jpg|ico|woff2)$/.test(file)) continue
      assert.doesNotMatch(readFileSync(join(root, file), 'utf8'), pattern, file)
    }
  })
})
