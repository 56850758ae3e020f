import { readFileSync } from 'node:fs'

/** The product or company that pages are shown for. */
export interface Brand {
  name: string
  /** A `data:` URL, so that pages load nothing. */
  logo: string | undefined
}

/** Largest logo, in bytes: it is part of every page. */
const MAX_LOGO = 24_000

/**
 * Reads a logo from a file: SVG, PNG, JPEG, WebP or GIF, recognized by its content.
 * @throws Error saying what is wrong with the file
 */
export function readLogo(path: string): string {
  const bytes = readFileSync(path)
  if (bytes.length > MAX_LOGO)
    throw new Error(
      `${path} has ${bytes.length} bytes. Every page has the logo in it: give one of at most ${MAX_LOGO}.`,
    )
  const type = imageType(bytes)
  if (type === undefined)
    throw new Error(`${path} is no image that browsers show. Give an SVG, PNG, JPEG, WebP or GIF.`)
  return `data:${type};base64,${bytes.toString('base64')}`
}

function imageType(bytes: Buffer): string | undefined {
  const start = bytes.toString('latin1', 0, 12)
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (start.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (/^GIF8[79]a/.test(start)) return 'image/gif'
  if (/^RIFF[\s\S]{4}WEBP/.test(start)) return 'image/webp'
  // In an image a browser runs no script of an SVG.
  if (
    /^\uFEFF?\s*(<\?xml[\s\S]*?\?>\s*)?(<!--[\s\S]*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]/i.test(bytes.toString('utf8'))
  )
    return 'image/svg+xml'
  return undefined
}
