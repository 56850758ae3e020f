import { neutralFacts } from '../src/domain/policy-facts.ts'
import { createPolicyEngine } from '../src/policy/cedar.ts'
import { DEFAULT_POLICY } from '../src/policy/default-policy.ts'

/** Decides, and checks a policy in the thread: policy-places.test.ts runs it from the places where the server can be. */

const engine = createPolicyEngine()
await engine.load(DEFAULT_POLICY)
const facts = neutralFacts()
const refused = engine.decide(0, { ...facts, resource: { ...facts.resource, protected: true } }, 'write')
const { refusal, errors } = await engine.check('@id("a") permit (principal, action, resource);', ['base.none'])
console.log(
  JSON.stringify({
    allowed: engine.decide(0, facts, 'write').allowed,
    refused: refused.determined_by.map(({ id }) => id),
    checked: [refusal, errors.length],
  }),
)
