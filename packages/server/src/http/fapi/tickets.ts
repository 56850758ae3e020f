import { ApiError } from '../../contract/errors.ts'
import { acceptTicket } from '../../contract/tokens.ts'
import { type Http, mount } from '../mount.ts'

export function mountTickets(http: Http): void {
  // Whoever opens the link, a person or a mail scanner: nothing is read from the store and nothing changes.
  mount(http, acceptTicket, async (ctx, { query, headers }) => {
    const claims = ctx.signing.readTicket(query.ticket)
    if (!claims || claims.iid !== ctx.settings.instance_id) throw new ApiError('ticket_invalid_code')
    const page = new URL(ctx.settings.sign_in_url)
    page.searchParams.set('__clerk_ticket', query.ticket)
    page.searchParams.set('__clerk_status', 'sign_in')
    headers.location = page.href
    return null
  })
}
