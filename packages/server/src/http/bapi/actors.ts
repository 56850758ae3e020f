import * as contract from '../../contract/actors.ts'
import { deleteActor, getActor, listActors, putActor } from '../../domain/actors.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentActor } from './present.ts'

export function mountActors(http: Http): void {
  mountList(http, contract.listActors, listActors, (_ctx, actor) => presentActor(actor))
  mount(http, contract.getActor, async (ctx, { params }) => presentActor(await getActor(ctx, params)))
  mount(http, contract.putActor, async (ctx, { params, body }) =>
    presentActor(await putActor(ctx, { ...body, sub: params.sub })),
  )
  mount(http, contract.deleteActor, async (ctx, { params }) => {
    await deleteActor(ctx, params)
    return { object: 'actor' as const, sub: params.sub, deleted: true as const }
  })
}
