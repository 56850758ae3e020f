import type { z } from 'zod'
import type { InvitedOperator, Operator, OperatorSession } from '../../contract/operators.ts'
import type { Context } from '../../domain/context.ts'
import { type Invitation, linkOf } from '../../domain/operators.ts'
import type { OperatorRecord, OperatorSessionRecord } from '../../domain/records.ts'

export function presentOperator(record: OperatorRecord): z.input<typeof Operator> {
  const { local_name: _local_name, ...shown } = record
  return { object: 'operator', ...shown }
}

export function presentInvitation(
  ctx: Context,
  { operator, token, expires_at }: Invitation,
): z.input<typeof InvitedOperator> {
  return { ...presentOperator(operator), link: linkOf(ctx, token), link_expires_at: expires_at }
}

export function presentOperatorSession(ctx: Context, record: OperatorSessionRecord): z.input<typeof OperatorSession> {
  const { secret_hash: _secret_hash, amr, ...shown } = record
  const is_current = ctx.caller.operator?.session_id === record.id
  return { object: 'operator_session', ...shown, is_current, amr: JSON.parse(amr) }
}
