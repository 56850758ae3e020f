import type { PolicyDocument } from '../domain/policy-engine.ts'

/**
 * The policy that is in force until another one is applied: any actor that the backend names may act, as with Clerk, so that
 * Clerk's SDKs and existing backends keep working. The base rules that Clerk's requests cannot satisfy are off, and those that would refuse what Clerk allows; settings of the server limit durations. Protected users,
 * the operator's own account and blocked actors are refused even so.
 */
export const DEFAULT_POLICY: PolicyDocument = {
  version: 0,
  text: `@id("default.backend")
@title("Any actor that your backend names may act. Replace this with your own rules.")
permit (principal, action in Action::"act", resource);
`,
  off: ['base.reason', 'base.unowned', 'base.operators', 'base.upward', 'base.nesting', 'base.depth', 'base.duration'],
}
