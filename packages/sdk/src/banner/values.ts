import type { BannerActor } from './types.ts'

/** Values from the app: attributes, times, addresses. */

export function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

export function reflect(element: Element, name: string, value: unknown): void {
  if (value === null || value === undefined) element.removeAttribute(name)
  else element.setAttribute(name, String(value))
}

/** Reads the `actor` attribute. An unreadable value is shown unchanged, because an actor is acting in any case. */
export function readActor(text: string | null): BannerActor | null {
  if (!text?.trim()) return null
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' ? value : { sub: String(value) }
  } catch {
    return { sub: text }
  }
}

export function nameOf({ name, email, sub }: BannerActor & { name?: unknown; email?: unknown }): string {
  return [name, email, sub].find(each => typeof each === 'string' && each.trim() !== '') as string
}

export function readTime(text: string | null): number | null {
  if (!text) return null
  const time = /^\d+$/.test(text) ? Number(text) : Date.parse(text)
  return Number.isNaN(time) ? null : time
}

/** Returns when the page arrived, which is when the server's time in it was correct, even if this script loads later. */
export function arrivedAt(): number {
  const [page] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
  return page && document.readyState !== 'complete' ? performance.timeOrigin + page.responseStart : Date.now()
}

/** Parses a whole `https:` address without a user name, else undefined: the page of a ticket. */
export function secureUrl(text: string | null): URL | undefined {
  const url = text !== null && URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === 'https:' && url.username === '' && url.password === '' ? url : undefined
}

/** Parses a URL to which the page may navigate: http or https, never `javascript:`. */
export function webUrl(text: unknown): URL | undefined {
  if (typeof text !== 'string' || text === '' || !URL.canParse(text, location.href)) return undefined
  const url = new URL(text, location.href)
  return /^https?:$/.test(url.protocol) ? url : undefined
}
