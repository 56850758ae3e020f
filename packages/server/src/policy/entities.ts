import type { CedarValueJson, EntityJson, EntityUidJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { ActingFacts, Facts, OperatorFacts, UserFacts } from '../domain/policy-engine.ts'
import { FactsError } from './errors.ts'

/** Facts as the engine takes them. Only this file makes `__entity` and `__extn` values, so that input can never contain one. */

export interface CedarFacts {
  principal: EntityUidJson
  resource: EntityUidJson
  context: Record<string, CedarValueJson>
  entities: EntityJson[]
}

/**
 * Returns the facts in Cedar's JSON.
 *
 *     cedarFacts(neutralFacts()).principal   // { type: 'Operator', id: 'operator' }
 */
export function cedarFacts({ principal, resource, context }: Facts): CedarFacts {
  const entities = new Entities()
  entities.add(userEntity(resource))
  if (principal.kind === 'operator') entities.addOperator(principal)
  else {
    if (principal.owner) entities.addOperator(principal.owner)
    const owner = principal.owner && { owner: reference('Operator', principal.owner.sub) }
    entities.add(actorEntity('Agent', principal, owner))
  }
  return {
    principal: uid(principal.kind === 'operator' ? 'Operator' : 'Agent', principal.sub),
    resource: uid('User', resource.id),
    context: cedarContext(context),
    entities: [...entities.all.values()],
  }
}

/** The entities of a request, each once: an operator's own user can be the user who is acted as. */
class Entities {
  readonly all = new Map<string, EntityJson>()

  add(entity: EntityJson): void {
    const { type, id } = entity.uid as { type: string; id: string }
    const key = `${type} ${id}`
    if (!this.all.has(key)) this.all.set(key, entity)
  }

  addOperator(operator: OperatorFacts): void {
    if (operator.user) this.add(userEntity(operator.user))
    this.add(actorEntity('Operator', operator, operator.user && { user: reference('User', operator.user.id) }))
  }
}

function actorEntity(
  type: string,
  actor: Facts['principal'],
  more: Record<string, CedarValueJson> | undefined,
): EntityJson {
  return {
    uid: uid(type, actor.sub),
    attrs: {
      registered: actor.registered,
      blocked: actor.blocked,
      level: actor.level,
      organizations: actor.organizations.map(name => reference('Organization', name)),
      ...more,
    },
    parents: actor.teams.map(name => uid('Team', name)),
  }
}

function userEntity(user: UserFacts): EntityJson {
  return {
    uid: uid('User', user.id),
    attrs: {
      protected: user.protected,
      operator: user.operator,
      blocked: user.blocked,
      level: user.level,
      ...(user.external_id !== undefined && { external_id: text(user.external_id) }),
    },
    parents: [...user.organizations.map(name => uid('Organization', name)), ...user.tags.map(name => uid('Tag', name))],
  }
}

function cedarContext(context: ActingFacts): Record<string, CedarValueJson> {
  const { reason, scopes, auth, ip } = context
  return {
    environment: context.environment,
    key: text(context.key),
    ...(reason && {
      reason: {
        ...(reason.category !== undefined && { category: text(reason.category) }),
        ...(reason.ticket !== undefined && { ticket: text(reason.ticket) }),
      },
    }),
    duration: context.duration,
    ...(scopes && { scopes: scopes.map(text) }),
    approvals: context.approvals,
    approver_teams: context.approver_teams.map(name => reference('Team', name)),
    consent: context.consent,
    break_glass: context.break_glass,
    open_reviews: context.open_reviews,
    depth: context.depth,
    ...(auth && { auth: { age: auth.age, amr: auth.amr.map(text) } }),
    ...(ip !== undefined && { ip: { __extn: { fn: 'ip', arg: text(ip) } } }),
    now: { __extn: { fn: 'datetime', arg: instant(context.now) } },
    time: { weekday: context.time.weekday, minute: context.time.minute },
  }
}

const uid = (type: string, id: string) => ({ type, id: text(id) })

const reference = (type: string, id: string) => ({ __entity: uid(type, id) })

/** Half of a surrogate pair is not UTF-8. Replacing it could turn one name into another. */
function text(value: string): string {
  if (typeof value !== 'string' || !value.isWellFormed())
    throw new FactsError('A text in the facts is not valid Unicode.')
  return value
}

function instant(time: number): string {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) throw new FactsError('The time is not valid.')
  return date.toISOString()
}
