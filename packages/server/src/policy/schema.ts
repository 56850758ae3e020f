/**
 * The vocabulary of policies, in Cedar's schema language. A TypeScript module, so that the bundle and the npm package contain it.
 * examples/policies/stagedoor.cedarschema is a copy for editors and for Cedar's own tools.
 */
export const SCHEMA = `// Stagedoor policy schema, version 1. It belongs to Stagedoor; the policies are yours.

/// A group of actors: "support", "tier-2". May be part of other teams.
entity Team in [Team];

/// A role, plan or segment of users: "admin", "vip". May be part of other tags.
entity Tag in [Tag];

/// A customer, tenant or company of yours.
entity Organization in [Organization];

/// The user who is acted as.
entity User in [Organization, Tag] = {
  protected: Bool, // must never be acted as
  operator: Bool, // acts as other users
  blocked: Bool, // banned or locked
  level: Long, // privilege level in your app; 0: an ordinary user
  external_id?: String,
};

/// A person who acts as users.
entity Operator in [Team] = {
  registered: Bool, // false: Stagedoor knows only the sub
  blocked: Bool, // banned, locked or disabled
  level: Long,
  organizations: Set<Organization>, // the customers they look after
  user?: User, // their own user account
};

/// A program or AI agent that acts as users.
entity Agent in [Team] = {
  registered: Bool,
  blocked: Bool,
  level: Long,
  organizations: Set<Organization>,
  owner?: Operator, // the person responsible for it
};

type Acting = {
  environment: String, // "development" or "production"
  key: String, // name of the secret key that created the token
  reason?: { category?: String, ticket?: String },
  duration: Long, // maximum session length, in seconds
  scopes?: Set<String>, // all the session may do; absent: unrestricted
  approvals: Long, // valid approvals of this request by others
  approver_teams: Set<Team>,
  consent: Bool, // the user has agreed and not withdrawn it
  break_glass: Bool,
  open_reviews: Long, // earlier break-glass access of this actor, not yet reviewed
  depth: Long, // length of the actor chain; 1: acts directly
  auth?: { age: Long, amr: Set<String> }, // the actor's login at creation; age in seconds
  ip?: ipaddr, // the actor's address, if known
  now: datetime,
  time: { weekday: Long, minute: Long }, // 1 is Monday; minutes since midnight
};

action act;
/// Act as the user, read-only.
action read in [act] appliesTo { principal: [Operator, Agent], resource: User, context: Acting };
/// Act as the user and change things. Includes reading.
action write in [act] appliesTo { principal: [Operator, Agent], resource: User, context: Acting };
/// Approve the request of another actor. The context is that of the request.
action approve appliesTo { principal: Operator, resource: User, context: Acting };
/// Review break-glass access afterwards.
action review appliesTo { principal: Operator, resource: User };
`
