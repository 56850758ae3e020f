import { readFile, realpath } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve, sep } from 'node:path'
import { ApiError } from '../../contract/errors.ts'
import type { Http } from '../mount.ts'

/**
 * Clerk's loaders fetch Clerk's browser builds from the Frontend API's host. Stagedoor serves them from the npm packages
 * that the operator installed; it contains no code of Clerk's.
 */

/** Matches paths like `/npm/@clerk/clerk-js@6/dist/clerk.browser.js`. No segment starts with a dot, so none is `..`. */
const ADDRESS =
  /^\/npm\/(@clerk\/(?:clerk-js|ui))(?:@([\w.-]{1,64}))?\/(dist\/(?:[\w-][\w.-]*\/)*[\w-][\w.-]*\.(js|mjs|css|map|txt))$/

const TYPES: Record<string, string> = {
  js: 'text/javascript; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  map: 'application/json',
  txt: 'text/plain; charset=utf-8',
}

/** Default versions to install. */
const USUAL: Record<string, string> = { '@clerk/clerk-js': '6', '@clerk/ui': '1' }

/** Cache lifetime of a URL without an exact version, in seconds: it may mean another version after the next `npm install`. */
const SHORT_SECONDS = 300

export function mountNpm({ app, options }: Http): void {
  // The folders in which Node would look for a package.
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
        // The scripts are public: any page may load them, even with crossorigin="anonymous" or with COEP.
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

/** Finds the installed package. It reads package.json on each request, so updates apply immediately; the packages do not export that file. */
async function installedPackage(folders: string[], name: string): Promise<Installed | undefined> {
  for (const folder of folders) {
    const manifest = await found(readFile(join(folder, name, 'package.json'), 'utf8'))
    if (manifest === undefined) continue
    // Package managers may use symbolic links.
    return { folder: await realpath(join(folder, name)), version: String(JSON.parse(manifest).version) }
  }
  return undefined
}

/** Whether the installed version matches. `6.40.0` matches 6.40.0, 6.40, 6 and latest; `6.41.0-canary.1` also matches canary. */
function satisfies(version: string, wanted: string): boolean {
  if (wanted === version || wanted === 'latest') return true
  if (/^\d+(\.\d+)?$/.test(wanted)) return version.startsWith(`${wanted}.`)
  return /-([a-z]+)/i.exec(version)?.[1] === wanted
}

/** Reads a file of `dist`. Returns undefined if there is no such file, or if it is a link to a file outside `dist`. */
async function readInside(folder: string, file: string): Promise<Buffer<ArrayBuffer> | undefined> {
  const path = await found(realpath(join(folder, file)))
  return path?.startsWith(join(folder, 'dist') + sep) ? found(readFile(path)) : undefined
}

/** Returns undefined if there is no readable file. Other errors of the file system are thrown. */
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
    `Run \`npm install ${which}\` in the working directory of the server, or in the folder of STAGEDOOR_PACKAGES_DIRECTORY.`,
  )
}

function missing(what: string, action?: string): ApiError {
  return new ApiError('resource_not_found', { params: { what }, ...(action === undefined ? {} : { action }) })
}
