import * as contract from '../../contract/operators.ts'
import { endOperatorSession, listOperatorSessions } from '../../domain/operator-sessions.ts'
import { disableOperator, enableOperator, getOperator, inviteOperator, listOperators } from '../../domain/operators.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentInvitation, presentOperator, presentOperatorSession } from './present-operators.ts'

export function mountOperators(http: Http): void {
  mountList(http, contract.listOperators, listOperators, (_ctx, operator) => presentOperator(operator))
  mount(http, contract.getOperator, async (ctx, { params }) =>
    presentOperator(await getOperator(ctx, { id: params.operator_id })),
  )
  mount(http, contract.inviteOperator, async (ctx, { body }) => presentInvitation(ctx, await inviteOperator(ctx, body)))
  mount(http, contract.disableOperator, async (ctx, { params }) =>
    presentOperator(await disableOperator(ctx, { id: params.operator_id })),
  )
  mount(http, contract.enableOperator, async (ctx, { params }) =>
    presentOperator(await enableOperator(ctx, { id: params.operator_id })),
  )
  mountList(http, contract.listOperatorSessions, listOperatorSessions, presentOperatorSession)
  mount(http, contract.endOperatorSession, async (ctx, { params }) =>
    presentOperatorSession(ctx, await endOperatorSession(ctx, { id: params.operator_session_id })),
  )
}
