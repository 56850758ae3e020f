import * as contract from '../../contract/tickets.ts'
import { anonymousClientToken } from '../../domain/clients.ts'
import type { Context } from '../../domain/context.ts'
import { confirmTicket, previewTicket } from '../../domain/tickets.ts'
import { isPrefetch } from '../browser/origin.ts'
import { confirmPage, pageStyle } from '../browser/pages.ts'
import { type Http, mount } from '../mount.ts'

export function mountTickets(http: Http): void {
  // Opening the link changes nothing, so mail scanners cannot use up a ticket.
  mount(http, contract.acceptTicket, async (ctx, { query, browser, header, headers }) => {
    const { presented, clientToken, serverURL } = browser
    const { token, user } = await previewTicket(ctx, { ticket: query.ticket, presented })
    if (presented.length === 0) clientToken.keep(anonymousClientToken(ctx))
    const next = signInPage(ctx, query.ticket)
    // Do not redirect a browser that only prefetches the page: the target page might redeem the ticket.
    if (ctx.settings.accept_page === 'redirect' && !isPrefetch(header)) {
      headers.location = next.href
      return null
    }
    return confirmPage(
      {
        token,
        user,
        text: query.ticket,
        action: `${serverURL}/v1/tickets/accept`,
        next,
        now: ctx.clock.now(),
        idleSeconds: ctx.settings.session_idle_timeout_seconds,
      },
      headers,
      pageStyle(http.options.pages, header),
    )
  })

  mount(http, contract.confirmTicket, async (ctx, { body, browser: { presented }, headers }) => {
    await confirmTicket(ctx, { ticket: body.ticket, presented })
    headers.location = signInPage(ctx, body.ticket).href
    return null
  })
}

/** Returns the URL of the app's page that redeems the ticket. */
function signInPage({ settings }: Context, ticket: string): URL {
  const page = new URL(settings.sign_in_url)
  page.searchParams.set('__clerk_ticket', ticket)
  page.searchParams.set('__clerk_status', 'sign_in')
  return page
}
