import { readFileSync } from 'node:fs'

/** The product or company whose name and logo the pages show. */
export interface Brand {
  name: string
  /** A `data:` URL, so that pages need no further request. */
  logo: string | undefined
}

/** Maximum size of a logo, in bytes. Every page contains it. */
const MAX_LOGO = 24_000

/**
 * Reads a logo from a file: SVG, PNG, JPEG, WebP or GIF, recognized by its content.
 * @throws Error with the problem of the file
 */
export function readLogo(path: string): string {
  const bytes = readFileSync(path)
  if (bytes.length > MAX_LOGO)
    throw new Error(
      `${path} has ${bytes.length} bytes. Every page contains the logo, so use a file of at most ${MAX_LOGO} bytes.`,
    )
  const type = imageType(bytes)
  if (type === undefined)
    throw new Error(`${path} is not an image that browsers can show. Use an SVG, PNG, JPEG, WebP or GIF.`)
  return `data:${type};base64,${bytes.toString('base64')}`
}

function imageType(bytes: Buffer): string | undefined {
  const start = bytes.toString('latin1', 0, 12)
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (start.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (/^GIF8[79]a/.test(start)) return 'image/gif'
  if (/^RIFF[\s\S]{4}WEBP/.test(start)) return 'image/webp'
  // SVG is safe here: browsers do not run the scripts of an SVG in an <img>.
  if (
    /^\uFEFF?\s*(<\?xml[\s\S]*?\?>\s*)?(<!--[\s\S]*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]/i.test(bytes.toString('utf8'))
  )
    return 'image/svg+xml'
  return undefined
}
