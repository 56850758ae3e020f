import * as contract from '../../contract/groups.ts'
import { deleteGroup, getGroup, listGroups, putGroup } from '../../domain/groups.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentTag, presentTeam } from './present-policy.ts'

export function mountGroups(http: Http): void {
  const team = { kind: 'team' } as const
  mountList(
    http,
    contract.listTeams,
    (ctx, query) => listGroups(ctx, { ...query, ...team }),
    (_ctx, row) => presentTeam(row),
  )
  mount(http, contract.getTeam, async (ctx, { params }) => presentTeam(await getGroup(ctx, { ...params, ...team })))
  mount(http, contract.putTeam, async (ctx, { params, body }) =>
    presentTeam(await putGroup(ctx, { ...body, ...params, ...team })),
  )
  mount(http, contract.deleteTeam, async (ctx, { params: { name } }) => {
    await deleteGroup(ctx, { name, ...team })
    return { object: 'team' as const, name, deleted: true as const }
  })

  const tag = { kind: 'tag' } as const
  mountList(
    http,
    contract.listTags,
    (ctx, query) => listGroups(ctx, { ...query, ...tag }),
    (_ctx, row) => presentTag(row),
  )
  mount(http, contract.getTag, async (ctx, { params }) => presentTag(await getGroup(ctx, { ...params, ...tag })))
  mount(http, contract.putTag, async (ctx, { params, body }) =>
    presentTag(await putGroup(ctx, { ...body, ...params, ...tag })),
  )
  mount(http, contract.deleteTag, async (ctx, { params: { name } }) => {
    await deleteGroup(ctx, { name, ...tag })
    return { object: 'tag' as const, name, deleted: true as const }
  })
}
