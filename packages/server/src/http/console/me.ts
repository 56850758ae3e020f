import { forAnyOperator, getConsoleMe } from '../../contract/console.ts'
import { ApiError } from '../../contract/errors.ts'
import { roleMayCall } from '../../domain/operators.ts'
import { reasonCategories } from '../../domain/policy-changes.ts'
import { type Http, mount } from '../mount.ts'

/** Default duration of acting, in seconds. */
const DEFAULT_DURATION = 900

export function mountMe(http: Http): void {
  mount(http, getConsoleMe, async ctx => {
    const { operator, principal } = ctx.caller
    if (!operator) throw new ApiError('operator_session_invalid')
    const { settings } = ctx
    const { name = null, email = null, sub } = operator.actor
    return {
      object: 'operator_session' as const,
      operator: { id: principal.id ?? '', name, email, role: operator.role, sub },
      role: operator.role,
      operations: forAnyOperator.filter(each => roleMayCall(each, operator.role)).map(({ id }) => id),
      personal_data: operator.role === 'viewer' ? ('masked' as const) : ('shown' as const),
      step_up_until: operator.step_up_until,
      expires_at: operator.expires_at,
      idle_expires_at: operator.idle_expires_at,
      settings: {
        environment: settings.environment,
        public_url: settings.public_url,
        instance_id: settings.instance_id,
        default_duration: Math.min(DEFAULT_DURATION, settings.actor_session_max_seconds),
        max_duration: settings.actor_session_max_seconds,
        reason_categories: await reasonCategories(ctx),
        idp_host: settings.idp_host,
        scope_understood: settings.appliesScope(new URL(settings.sign_in_url).origin),
      },
    }
  })
}
