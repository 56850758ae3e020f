import { getPath } from 'hono/utils/url'

/**
 * Clerk's browser SDK sends PATCH, PUT and DELETE as POST with `_method` in the query, so that no request needs a
 * preflight. Only a POST is ever taken for something else, and only for these: no GET, prefetch or image can be.
 */
const METHODS = ['PATCH', 'PUT', 'DELETE']

/** Where such a request is routed: in a room of their own, which no path leads to. */
export function overridePath(method: string, path: string): string {
  return `${ROOM}${method.toUpperCase()}${path}`
}

const ROOM = '/ '
const NOWHERE = '/'

/** The method a request stands for. @param url with or without its origin */
export function requestedMethod(method: string, url: string): string {
  if (method !== 'POST' || !url.includes('_method=')) return method
  const named = URL.parse(url, 'http://here')?.searchParams.get('_method') ?? ''
  return METHODS.includes(named) ? named : method
}

/** Whether a path leads to where overridden methods are routed. */
export const isInRoom = (path: string): boolean => path.startsWith(ROOM)

/** The path a request is routed by. */
export function routedPath(request: Request): string {
  const path = getPath(request)
  // Decoded, so somebody may have written the way into that room.
  if (isInRoom(path)) return NOWHERE
  const method = requestedMethod(request.method, request.url)
  return method === request.method ? path : overridePath(method, path)
}
