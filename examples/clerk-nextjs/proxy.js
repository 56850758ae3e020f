import { clerkMiddleware, createRouteMatcher } from '@clerk/nextjs/server'

const isPublic = createRouteMatcher(['/sign-in(.*)', '/api(.*)'])

// Everything else is for people who are signed in; /api answers for itself.
export default clerkMiddleware(async (auth, request) => {
  if (!isPublic(request)) await auth.protect()
})

export const config = {
  // Not for files and what Next.js makes itself.
  matcher: ['/((?!_next|.*\\..*).*)'],
}
