/** The base rules, in Cedar. They are part of every policy. A document can switch a rule off, except for `base.blocked`. */
export const BASE_POLICY = `@id("base.self")
@message("You cannot act as yourself.")
forbid (principal is Operator, action in Action::"act", resource)
when { principal has user && principal.user == resource };

@id("base.protected")
@message("This user is protected and cannot be acted as.")
forbid (principal, action in Action::"act", resource)
when { resource.protected };

@id("base.operators")
@message("This user is an operator and cannot be acted as.")
forbid (principal, action in Action::"act", resource)
when { resource.operator };

@id("base.upward")
@message("This user has a higher level than the actor.")
forbid (principal, action in Action::"act", resource)
when { resource.level > principal.level };

@id("base.blocked")
@message("The actor or the user is banned, locked or disabled.")
forbid (principal, action, resource)
when { principal.blocked || resource.blocked };

@id("base.nesting")
@message("An operator cannot act as another user from within an acting session.")
forbid (principal is Operator, action in Action::"act", resource)
when { context.depth > 1 };

@id("base.depth")
@message("A chain of actors has at most four members.")
forbid (principal, action in Action::"act", resource)
when { context.depth > 4 };

@id("base.duration")
@message("Acting lasts at most eight hours.")
forbid (principal, action in Action::"act", resource)
when { context.duration > 28800 };

@id("base.reason")
@message("A reason is required in production.")
forbid (principal, action in Action::"act", resource)
when { context.environment == "production" && !(context has reason) };

@id("base.break_glass")
@message("Break-glass access needs a reason, at most 15 minutes, and no open review.")
forbid (principal, action in Action::"act", resource)
when { context.break_glass
       && (!(context has reason) || context.duration > 900 || context.open_reviews > 0) };

@id("base.unowned")
@message("In production an agent needs an owner.")
forbid (principal is Agent, action in Action::"act", resource)
when { context.environment == "production" && !(principal has owner) };
`

/** This rule is always on. SQL enforces it too. */
export const ALWAYS_ON = 'base.blocked'
