import * as contract from '../../contract/users.ts'
import {
  banUser,
  countUsers,
  createUser,
  deleteUser,
  getUser,
  listUsers,
  setUserState,
  updateUser,
  updateUserMetadata,
} from '../../domain/users.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentDeleted, presentTotalCount, presentUser } from './present.ts'

export function mountUsers(http: Http): void {
  mountList(http, contract.listUsers, listUsers, (_ctx, user) => presentUser(user))
  mount(http, contract.countUsers, (ctx, { query }) =>
    http.options.lists.run(async () => presentTotalCount(await countUsers(ctx, query))),
  )
  mount(http, contract.createUser, {
    create: (ctx, { body }, once) => createUser(ctx, body, once),
    find: (ctx, id) => getUser(ctx, { id }),
    present: (_ctx, record) => presentUser(record),
  })
  mount(http, contract.getUser, async (ctx, { params }) => presentUser(await getUser(ctx, { id: params.user_id })))
  mount(http, contract.updateUser, async (ctx, { params, body }) =>
    presentUser(await updateUser(ctx, { ...body, id: params.user_id })),
  )
  mount(http, contract.updateUserMetadata, async (ctx, { params, body }) =>
    presentUser(await updateUserMetadata(ctx, { ...body, id: params.user_id })),
  )
  mount(http, contract.deleteUser, async (ctx, { params }) => {
    await deleteUser(ctx, { id: params.user_id })
    return presentDeleted('user', params.user_id)
  })
  mount(http, contract.banUser, async (ctx, { params }) => presentUser(await banUser(ctx, { id: params.user_id })))
  for (const [operation, change] of [
    [contract.unbanUser, 'unban'],
    [contract.lockUser, 'lock'],
    [contract.unlockUser, 'unlock'],
  ] as const) {
    mount(http, operation, async (ctx, { params }) =>
      presentUser(await setUserState(ctx, { id: params.user_id, change })),
    )
  }
}
