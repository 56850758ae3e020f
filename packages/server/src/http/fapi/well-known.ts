import { getPublicJwks } from '../../contract/keys.ts'
import { type Http, mount } from '../mount.ts'
import { presentJwks } from '../present.ts'

/** Shorter than the 5 minutes a key is published before its first signature. */
const JWKS_MAX_AGE_SECONDS = 60

export function mountWellKnown(http: Http): void {
  mount(http, getPublicJwks, async (ctx, { headers }) => {
    headers['cache-control'] = `public, max-age=${JWKS_MAX_AGE_SECONDS}`
    return presentJwks(await ctx.signing.jwks())
  })
}
