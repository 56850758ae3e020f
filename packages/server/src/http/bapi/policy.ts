import * as contract from '../../contract/policy.ts'
import {
  checkPolicy,
  explainPolicy,
  getPolicy,
  listPolicyVersions,
  putPolicy,
  rollbackPolicy,
} from '../../domain/policy-changes.ts'
import { whatIf } from '../../domain/policy-what-if.ts'
import { withPlainAddress } from '../caller.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import {
  presentAppliedPolicy,
  presentPolicy,
  presentPolicyCheck,
  presentPolicyDecision,
  presentWhatIf,
} from './present-policy.ts'

export function mountPolicy(http: Http): void {
  mountList(http, contract.listPolicyVersions, listPolicyVersions, (_ctx, policy) => presentPolicy(policy))
  mount(http, contract.getPolicy, async ctx => presentPolicy(await getPolicy(ctx)))
  mount(http, contract.putPolicy, async (ctx, { body }) => presentAppliedPolicy(await putPolicy(ctx, body)))
  mount(http, contract.rollbackPolicy, async (ctx, { body }) => presentAppliedPolicy(await rollbackPolicy(ctx, body)))
  mount(http, contract.checkPolicy, async (ctx, { body }) => presentPolicyCheck(await checkPolicy(ctx, body)))
  mount(http, contract.whatIfPolicy, async (ctx, { body }) => presentWhatIf(await whatIf(ctx, body)))
  mount(http, contract.explainPolicy, async (ctx, { body }) =>
    presentPolicyDecision(ctx, await explainPolicy(ctx, withPlainAddress(body))),
  )
}
