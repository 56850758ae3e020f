import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { ApiError } from '../../contract/errors.ts'
import { standardHeaders } from '../answer.ts'
import { assertFromConsole, hostOf } from '../auth/operator.ts'
import { noticePage, pageStyle } from '../browser/pages.ts'
import { type HeaderReader, headerReader } from '../caller.ts'
import type { Http } from '../mount.ts'

/** Serves the built pages of the console. They hold no data, so the shell is public: everything else comes by requests. */

const TYPES: Record<string, string> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  woff2: 'font/woff2',
  txt: 'text/plain; charset=utf-8',
}

const PERMISSIONS =
  'camera=(), display-capture=(), geolocation=(), microphone=(), midi=(), payment=(), usb=(), publickey-credentials-create=(self), publickey-credentials-get=(self)'

/** How far above this file the built files can be, in folders: in the sources, in the bundled command, in the package. */
const DEPTH = 6

/** Returns the folder with the built files; undefined if there are none. */
export function findBuild(from = import.meta.dirname): string | undefined {
  let folder = from
  for (let depth = 0; depth < DEPTH; depth++) {
    const build = join(folder, 'console')
    if (existsSync(join(build, 'manifest.json'))) return build
    folder = dirname(folder)
  }
  return undefined
}

interface Build {
  index: string
  /** By their paths: `assets/main-3F2A.js`. */
  files: Map<string, Asset>
}

type Encoding = 'br' | 'gzip' | 'identity'

interface Asset {
  type: string
  bodies: Partial<Record<Encoding, Promise<Uint8Array<ArrayBuffer>>>>
  plain: Uint8Array<ArrayBuffer>
}

/** Reads the files that the manifest names, and no others. */
function readBuild(folder: string): Build {
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
    files: Record<string, unknown>
    licences?: string
  }
  const names = Object.keys(manifest.files).filter(name => /^assets\/[\w.-]+$/.test(name))
  const files = new Map(names.map(name => [name, assetOf(join(folder, name))]))
  const licences = manifest.licences === undefined ? undefined : join(folder, manifest.licences)
  if (licences !== undefined && existsSync(licences)) files.set('assets/licences.txt', assetOf(licences))
  return { index: readFileSync(join(folder, 'index.html'), 'utf8'), files }
}

function assetOf(path: string): Asset {
  const plain = new Uint8Array(readFileSync(path))
  const type = TYPES[/\.(\w+)$/.exec(path)?.[1] ?? ''] ?? 'application/octet-stream'
  return { type, plain, bodies: {} }
}

const brotli = promisify(brotliCompress)
const compress = promisify(gzip)

/** Returns the bytes of a file in an encoding. Each is compressed once, when it is first wanted. */
function bodyOf(asset: Asset, encoding: Encoding): Promise<Uint8Array<ArrayBuffer>> {
  const { plain, bodies } = asset
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length }
  bodies[encoding] ??= (
    encoding === 'br'
      ? brotli(plain, { params })
      : encoding === 'gzip'
        ? compress(plain, { level: 9 })
        : Promise.resolve(plain)
  ).then(bytes => new Uint8Array(bytes))
  return bodies[encoding]
}

function encodingFor(header: HeaderReader): Encoding {
  const accepted = (header('accept-encoding') ?? '').toLowerCase()
  const accepts = (name: string) => new RegExp(`(^|[,\\s])${name}(?!\\s*;\\s*q=0(\\.0*)?\\s*(,|$))`).test(accepted)
  return accepts('br') ? 'br' : accepts('gzip') ? 'gzip' : 'identity'
}

export function mountAssets({ app, services, options }: Http): void {
  const folder = options.console?.folder
  const build = folder === undefined ? undefined : readBuild(folder)
  const isOpen = opening(services.store, options.console?.isAlwaysOn === true)

  app.get('/console/assets/*', async http => {
    const header = headerReader(http.req.raw, http.env.incoming)
    assertFromConsole(services.settings, header, http.req.url, { method: 'get' })
    const name = http.req.path.slice('/console/'.length)
    const asset = build?.files.get(name)
    if (!asset || !(await isOpen())) throw missing('There is no such file of the console.')
    const encoding = encodingFor(header)
    // The hash in the name changes with the content. The licences have none.
    const immutable = !name.endsWith('licences.txt')
    const headers: Record<string, string> = {
      'content-type': asset.type,
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
      vary: 'Accept-Encoding',
      ...(encoding === 'identity' ? {} : { 'content-encoding': encoding }),
    }
    const body = await bodyOf(asset, encoding)
    return new Response(body, { headers: { ...headers, 'content-length': String(body.length) } })
  })

  const shell = async (request: Request, header: HeaderReader, traceId: string): Promise<Response> => {
    if (!(await isOpen())) throw missing('There is no console here.')
    const { console_url, console_checks_host } = services.settings
    const headers = standardHeaders(traceId, undefined, new Set())
    const style = pageStyle(options.pages, header)
    if (console_checks_host && hostOf(header, request.url) !== new URL(console_url).host) {
      const { pathname, search } = new URL(request.url)
      return noticePage('elsewhere', 404, { url: console_url + pathname + search }, headers, style)
    }
    if (!build) return noticePage('notBuilt', 503, {}, headers, style)
    return new Response(build.index, { headers: { ...headers, ...shellHeaders() } })
  }
  for (const path of ['/console', '/console/*'])
    app.get(path, http =>
      /^\/console\/(api|login|logout|callback|passkey|assets)(\/|$)/.test(http.req.path)
        ? http.notFound()
        : shell(http.req.raw, headerReader(http.req.raw, http.env.incoming), http.env.requestLog.traceId),
    )
}

function shellHeaders(): Record<string, string> {
  return {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'`,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': PERMISSIONS,
    // With `no-referrer`, the Origin header of the sign-in form would be null.
    'referrer-policy': 'same-origin',
    'x-frame-options': 'DENY',
  }
}

/** Creates a function that tells whether the console answers: once there is an operator, if nothing else turns it on. */
function opening(store: Http['services']['store'], isAlwaysOn: boolean): () => Promise<boolean> {
  let isOpen = isAlwaysOn
  return async () => {
    isOpen ||= await store.operators.exist()
    return isOpen
  }
}

const missing = (what: string) => new ApiError('resource_not_found', { params: { what } })
