import { getPublicJwks } from '../../contract/jwks.ts'
import { type Http, mount } from '../mount.ts'
import { presentJwks } from './present.ts'

/** Cache lifetime of the key set, in seconds. Shorter than the 5 minutes for which a key is published before its first signature. */
const JWKS_MAX_AGE_SECONDS = 60

export function mountWellKnown(http: Http): void {
  mount(http, getPublicJwks, async (ctx, { headers }) => {
    headers['cache-control'] = `public, max-age=${JWKS_MAX_AGE_SECONDS}`
    return presentJwks(await ctx.signing.jwks())
  })
}
