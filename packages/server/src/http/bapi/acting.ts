import * as contract from '../../contract/acting.ts'
import { listActing } from '../../domain/acting.ts'
import type { ActingEvent } from '../../domain/acting-feed.ts'
import { masked } from '../console/masking.ts'
import { type Http, mount } from '../mount.ts'
import { eventStream } from './event-stream.ts'
import { mountList } from './lists.ts'
import { presentActing } from './present.ts'

/** Maximum streams per caller. A person has few screens open. */
const MAX_STREAMS = 5

export function mountActing(http: Http): void {
  mountList(http, contract.listActing, listActing, (_ctx, record) => presentActing(record))
  mount(http, contract.followActing, async (ctx, { headers }) =>
    eventStream(ctx, http.log, headers, {
      kind: 'acting',
      max: MAX_STREAMS,
      failure: 'the feed of acting sessions could not be read',
      follow: send =>
        ctx.actingFeed.follow(
          event => send(event.event, masked(ctx, contract.followActing, dataOf(event))),
          () => send('ready', { at: ctx.clock.now() }),
        ),
    }),
  )
}

const dataOf = (event: ActingEvent) => (event.event === 'ended' ? event.ended : presentActing(event.acting))
