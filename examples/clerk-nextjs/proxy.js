import { clerkMiddleware, createRouteMatcher } from '@clerk/nextjs/server'

const isPublic = createRouteMatcher(['/sign-in(.*)', '/api(.*)'])

// All other pages require a signed-in user. Routes under /api check for themselves.
export default clerkMiddleware(async (auth, request) => {
  if (!isPublic(request)) await auth.protect()
})

export const config = {
  // Skips files and Next.js's own paths.
  matcher: ['/((?!_next|.*\\..*).*)'],
}
