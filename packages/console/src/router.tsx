/** The addresses of the console. Live loads with the console; the other screens load when they are opened. */
import type { QueryClient } from '@tanstack/react-query'
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { ApiError } from './api.ts'
import { Live } from './screens/live.tsx'
import { meQuery } from './session.tsx'
import { NotFound, Shell, ShellError } from './shell.tsx'

/** Filters of a list, as they are in the URL. */
export type Search = Record<string, string | undefined>

const texts = (search: Record<string, unknown>): Search =>
  Object.fromEntries(
    Object.entries(search)
      .filter(([, value]) => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      .map(([name, value]) => [name, String(value)]),
  )

const root = createRootRoute({ component: Outlet, notFoundComponent: NotFound, validateSearch: texts })

export function createConsoleRouter(client: QueryClient) {
  const inside = createRoute({
    getParentRoute: () => root,
    id: 'inside',
    component: Shell,
    errorComponent: ShellError,
    beforeLoad: async ({ location }) => {
      try {
        await client.ensureQueryData(meQuery)
      } catch (error) {
        if (error instanceof ApiError && error.status === 401)
          throw redirect({ to: '/sign-in', search: { return_to: location.href } as never })
        throw error
      }
    },
  })
  const screen = (path: string, load: Parameters<typeof lazyRouteComponent>[0]) =>
    createRoute({ getParentRoute: () => inside, path, component: lazyRouteComponent(load) })
  const outside = (path: string, load: Parameters<typeof lazyRouteComponent>[0]) =>
    createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load) })
  const home = createRoute({
    getParentRoute: () => inside,
    path: '/',
    beforeLoad: () => {
      throw redirect({ to: '/live' as never, replace: true })
    },
  })
  const live = createRoute({ getParentRoute: () => inside, path: '/live', component: Live })
  const routeTree = root.addChildren([
    inside.addChildren([
      home,
      live,
      screen('/act', () => import('./screens/act.tsx')),
      screen('/users', () => import('./screens/users.tsx')),
      screen('/users/$id', () => import('./screens/user.tsx')),
      screen('/audit', () => import('./screens/audit.tsx')),
      screen('/policy', () => import('./screens/policy.tsx')),
      screen('/settings', () => import('./screens/settings.tsx')),
      screen('/sessions', () => import('./screens/my-sessions.tsx')),
    ]),
    outside('/sign-in', () => import('./screens/sign-in.tsx')),
    outside('/signed-in', () => import('./screens/signed-in.tsx')),
    outside('/join', () => import('./screens/join.tsx')),
  ])
  return createRouter({
    routeTree,
    basepath: '/console',
    defaultPreload: 'intent',
    defaultPendingMs: 100,
    defaultOnCatch: () => {},
    defaultNotFoundComponent: NotFound,
  })
}
