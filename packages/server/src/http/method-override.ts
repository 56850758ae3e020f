import { getPath } from 'hono/utils/url'

/**
 * Clerk's browser SDK sends PATCH, PUT and DELETE as POST with `_method` in the query, so that no request needs a
 * preflight. Only a POST can be overridden, and only to these methods, so a GET, a prefetch or an image cannot.
 */
const METHODS = ['PATCH', 'PUT', 'DELETE']

/** Returns the internal path of an overridden request. No request can name such a path directly. */
export function overridePath(method: string, path: string): string {
  return `${ROOM}${method.toUpperCase()}${path}`
}

const ROOM = '/ '
const NOWHERE = '/'

/** Returns the method of a request, after any override. @param url with or without its origin */
export function requestedMethod(method: string, url: string): string {
  if (method !== 'POST' || !url.includes('_method=')) return method
  const named = URL.parse(url, 'http://here')?.searchParams.get('_method') ?? ''
  return METHODS.includes(named) ? named : method
}

/** Whether a path is an internal path of overridden requests. */
export const isInRoom = (path: string): boolean => path.startsWith(ROOM)

/** Returns the path by which a request is routed. */
export function routedPath(request: Request): string {
  const path = getPath(request)
  // The path is decoded, so a request could have named an internal path with encoded characters.
  if (isInRoom(path)) return NOWHERE
  const method = requestedMethod(request.method, request.url)
  return method === request.method ? path : overridePath(method, path)
}
