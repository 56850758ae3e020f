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
import { countedIn, presentDeleted, presentList, presentTotalCount, presentUser } from './present.ts'

export function mountUsers(http: Http): void {
  mount(http, contract.listUsers, async (ctx, { query }) =>
    presentList(await listUsers(ctx, { ...query, ...countedIn(query) }), query, presentUser),
  )
  mount(http, contract.countUsers, async (ctx, { query }) => presentTotalCount(await countUsers(ctx, query)))
  mount(http, contract.createUser, async (ctx, { body, once }) =>
    presentUser(
      await once(
        key => createUser(ctx, body, key),
        id => getUser(ctx, { id }),
      ),
    ),
  )
  mount(http, contract.getUser, async (ctx, { param }) => presentUser(await getUser(ctx, { id: param('user_id') })))
  mount(http, contract.updateUser, async (ctx, { param, body }) =>
    presentUser(await updateUser(ctx, { ...body, id: param('user_id') })),
  )
  mount(http, contract.updateUserMetadata, async (ctx, { param, body }) =>
    presentUser(await updateUserMetadata(ctx, { ...body, id: param('user_id') })),
  )
  mount(http, contract.deleteUser, async (ctx, { param }) => {
    await deleteUser(ctx, { id: param('user_id') })
    return presentDeleted('user', param('user_id'))
  })
  mount(http, contract.banUser, async (ctx, { param }) => presentUser(await banUser(ctx, { id: param('user_id') })))
  for (const [operation, change] of [
    [contract.unbanUser, 'unban'],
    [contract.lockUser, 'lock'],
    [contract.unlockUser, 'unlock'],
  ] as const) {
    mount(http, operation, async (ctx, { param }) =>
      presentUser(await setUserState(ctx, { id: param('user_id'), change })),
    )
  }
}
