import * as contract from '../../contract/secret-keys.ts'
import { createSecretKey, listSecretKeys, refuseSecondShowing, revokeSecretKey } from '../../domain/secret-keys.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentCreatedSecretKey, presentSecretKey } from './present.ts'

export function mountSecretKeys(http: Http): void {
  mountList(http, contract.listSecretKeys, listSecretKeys, presentSecretKey)
  mount(http, contract.createSecretKey, {
    create: (ctx, { body }, once) => createSecretKey(ctx, body, once),
    find: refuseSecondShowing,
    present: presentCreatedSecretKey,
  })
  mount(http, contract.revokeSecretKey, async (ctx, { params }) =>
    presentSecretKey(ctx, await revokeSecretKey(ctx, { id: params.secret_key_id })),
  )
}
