import { readFile, realpath } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve, sep } from 'node:path'
import { ApiError } from '../../contract/errors.ts'
import type { Http } from '../mount.ts'

/**
 * Clerk's loaders take the browser builds from the Frontend API's host, as Clerk's network serves them. Ours come from
 * the npm packages as somebody installed them: nothing of Clerk's is in this server.
 */

/** `/npm/@clerk/clerk-js@6/dist/clerk.browser.js`. No part of it begins with a dot, so none is `..`. */
const ADDRESS =
  /^\/npm\/(@clerk\/(?:clerk-js|ui))(?:@([\w.-]{1,64}))?\/(dist\/(?:[\w-][\w.-]*\/)*[\w-][\w.-]*\.(js|mjs|css|map|txt))$/

const TYPES: Record<string, string> = {
  js: 'text/javascript; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  map: 'application/json',
  txt: 'text/plain; charset=utf-8',
}

/** What to install if nobody says which. */
const USUAL: Record<string, string> = { '@clerk/clerk-js': '6', '@clerk/ui': '1' }

/** For an address that means another version after the next `npm install`. */
const SHORT_SECONDS = 300

export function mountNpm({ app, options }: Http): void {
  // The folders where Node would look for any package.
  const folders = createRequire(resolve(options.packagesDirectory, 'index.js')).resolve.paths('@clerk/clerk-js') ?? []

  app.get('/npm/@clerk/*', async http => {
    const [, name = '', wanted, file = '', kind = ''] = ADDRESS.exec(http.req.path) ?? []
    if (name === '') return http.notFound()
    const installed = await installedPackage(folders, name)
    if (!installed || !satisfies(installed.version, wanted ?? 'latest')) throw notInstalled(name, wanted, installed)
    const content = await readInside(installed.folder, file)
    if (!content) throw missing(`${name} ${installed.version} has no ${file}.`)
    const exact = wanted === installed.version
    return new Response(content, {
      headers: {
        'content-type': TYPES[kind] as string,
        'content-length': String(content.length),
        'x-content-type-options': 'nosniff',
        // Public scripts: any page may load them, also with crossorigin="anonymous" and where COEP is on.
        'access-control-allow-origin': '*',
        'cross-origin-resource-policy': 'cross-origin',
        'cache-control': exact ? 'public, max-age=31536000, immutable' : `public, max-age=${SHORT_SECONDS}`,
      },
    })
  })
}

interface Installed {
  folder: string
  version: string
}

/** Looks anew each time, so that an update is seen at once. The packages do not export their package.json. */
async function installedPackage(folders: string[], name: string): Promise<Installed | undefined> {
  for (const folder of folders) {
    const manifest = await found(readFile(join(folder, name, 'package.json'), 'utf8'))
    if (manifest === undefined) continue
    // Package managers link packages to where they keep them.
    return { folder: await realpath(join(folder, name)), version: String(JSON.parse(manifest).version) }
  }
  return undefined
}

/** `6.40.0` is itself, 6.40, 6 and latest; `6.41.0-canary.1` is canary too. */
function satisfies(version: string, wanted: string): boolean {
  if (wanted === version || wanted === 'latest') return true
  if (/^\d+(\.\d+)?$/.test(wanted)) return version.startsWith(`${wanted}.`)
  return /-([a-z]+)/i.exec(version)?.[1] === wanted
}

/** Undefined if there is no such file, or it is a link that leads out of `dist`. */
async function readInside(folder: string, file: string): Promise<Buffer<ArrayBuffer> | undefined> {
  const path = await found(realpath(join(folder, file)))
  return path?.startsWith(join(folder, 'dist') + sep) ? found(readFile(path)) : undefined
}

/** Undefined where there is nothing to read. Trouble of the machine stays trouble. */
async function found<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (/^E(NOENT|NOTDIR|ISDIR|NAMETOOLONG|LOOP|ACCES)$/.test(String((error as { code?: unknown }).code)))
      return undefined
    throw error
  }
}

function notInstalled(name: string, wanted: string | undefined, installed: Installed | undefined): ApiError {
  const which = `${name}@${wanted ?? USUAL[name]}`
  return missing(
    installed
      ? `${name} ${installed.version} is installed on this server, not ${wanted}.`
      : `${name} is not installed on this server.`,
    `Run \`npm install ${which}\` where the server is started, or in the folder that STAGEDOOR_PACKAGES_DIRECTORY names.`,
  )
}

function missing(what: string, action?: string): ApiError {
  return new ApiError('resource_not_found', { params: { what }, ...(action === undefined ? {} : { action }) })
}
