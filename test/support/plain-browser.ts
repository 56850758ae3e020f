/** A browser without scripts that exposes its redirects and the sizes of requests and answers. */
import { type IncomingMessage, request } from 'node:http'

export interface Hop {
  url: string
  status: number
  /** The length of the longest line of the request. */
  requestLineBytes: number
  responseHeaderBytes: number
  setCookies: string[]
}

export interface Opened {
  /** The URL in the address bar. */
  url: string
  status: number
  text: string
  /** Every request, including the last one. */
  hops: Hop[]
}

const MOST_HOPS = 12

export class PlainBrowser {
  /** By name: browsers keep cookies by host, not by port, and the tests use one host. */
  cookies: Map<string, string>

  constructor(cookies: Record<string, string> = {}) {
    this.cookies = new Map(Object.entries(cookies))
  }

  /** Opens a page and follows its redirects. */
  async open(url: string): Promise<Opened> {
    const hops: Hop[] = []
    for (let next = url; ; ) {
      const { answer, text, hop } = await this.#get(next)
      hops.push(hop)
      for (const cookie of hop.setCookies) this.#keep(cookie)
      const { location } = answer.headers
      if (hop.status < 300 || hop.status >= 400 || location === undefined)
        return { url: next, status: hop.status, text, hops }
      if (hops.length >= MOST_HOPS) throw new Error(`too many redirects: ${hops.map(it => it.url).join('\n')}`)
      next = new URL(location, next).href
    }
  }

  /** Deletes all cookies with this prefix, as clerk-js may lose or replace them. */
  forget(prefix: string): void {
    for (const name of this.cookies.keys()) if (name.startsWith(prefix)) this.cookies.delete(name)
  }

  #get(url: string): Promise<{ answer: IncomingMessage; text: string; hop: Hop }> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { accept: 'text/html', 'sec-fetch-dest': 'document', ...(cookie === '' ? {} : { cookie }) }
    return new Promise((resolve, reject) => {
      const asked = request(url, { headers, agent: false }, answer => {
        let text = ''
        answer.setEncoding('utf8').on('data', chunk => {
          text += chunk
        })
        answer.on('end', () => resolve({ answer, text, hop: hopOf(url, cookie, answer) }))
      })
      asked.on('error', reject).end()
    })
  }

  #keep(setCookie: string): void {
    const [pair = '', ...attributes] = setCookie.split(';')
    const name = pair.slice(0, pair.indexOf('='))
    const value = pair.slice(pair.indexOf('=') + 1)
    // RFC 6265bis: browsers drop larger cookies.
    if (name.length + value.length > 4_096) return
    if (attributes.some(attribute => /^\s*max-age=0$/i.test(attribute))) this.cookies.delete(name)
    else this.cookies.set(name, value)
  }
}

function hopOf(url: string, cookie: string, answer: IncomingMessage): Hop {
  const { pathname, search } = new URL(url)
  const names = answer.rawHeaders.filter((_, i) => i % 2 === 0)
  const lines = names.map((name, i) => `${name}: ${answer.rawHeaders[2 * i + 1]}\r\n`)
  return {
    url,
    status: answer.statusCode ?? 0,
    requestLineBytes: Math.max(`GET ${pathname}${search} HTTP/1.1`.length, `cookie: ${cookie}`.length),
    responseHeaderBytes: `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n${lines.join('')}\r\n`.length,
    setCookies: answer.headers['set-cookie'] ?? [],
  }
}
