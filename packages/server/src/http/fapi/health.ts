import { ApiError } from '../../contract/errors.ts'
import { getHealth, getReadiness } from '../../contract/health.ts'
import { type Http, mount } from '../mount.ts'
import { presentHealth } from './present.ts'

/** Timeout of the database check, in ms. It is shorter than the timeouts of load balancers. */
const PATIENCE = 2_000

export function mountHealth(http: Http): void {
  mount(http, getHealth, async () => presentHealth('ok'))
  mount(http, getReadiness, async ctx => {
    if (ctx.stopping.aborted) throw notReady('it is stopping')
    await inTime(ctx.store.ping(), 'the database does not answer')
    // This reads the signing key again, and decrypts it if it has changed.
    await inTime(ctx.signing.jwks(), 'the signing key cannot be read')
    return presentHealth('ok')
  })
}

async function inTime(work: Promise<unknown>, otherwise: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE} ms`)), PATIENCE)
  })
  try {
    await Promise.race([work, late])
  } catch (cause) {
    throw notReady(otherwise, cause)
  } finally {
    clearTimeout(timer)
  }
}

function notReady(why: string, cause?: unknown): ApiError {
  return new ApiError('not_ready', { params: { why }, cause })
}
