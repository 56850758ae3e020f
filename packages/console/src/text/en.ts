/** The words that several screens share. */
import type { AuditEvent, Role } from '../wire.ts'

export const access = { read: 'Look only', write: 'Look and change' } as const

export const role: Record<Role, string> = {
  viewer: 'Viewer',
  support: 'Support',
  approver: 'Approver',
  admin: 'Admin',
}

/** Reasons that the console offers with one click. Policies compare with these categories. */
export const reasonCategory: Record<string, string> = {
  support: 'Support request',
  incident: 'Incident',
  change: 'Change for the user',
  debug: 'Debugging',
  fraud: 'Fraud check',
}

/** Returns a category as words: `billing_check` is shown as “Billing check”. */
export function categoryName(category: string): string {
  const known = reasonCategory[category]
  if (known !== undefined) return known
  const words = category.replaceAll(/[_-]/g, ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** Reasons for ending a session, with one click. */
export const endReasons = ['The work is done', 'Not authorised', 'Something looks wrong'] as const

/** Personal data that is masked, and the button that shows it. */
export const reveal = {
  show: 'Show',
  user: 'Show the personal data of this user',
  metadata: 'Show the private metadata of this user',
  event: 'Show the personal data of this event',
  masked: 'Personal data is masked.',
  recorded: 'Shown. The audit log records that you asked.',
} as const

/** What happened, as a sentence. `{actor}` is who acted, `{user}` as whom, `{target}` another object. */
const actions: Record<string, [done: string, refused: string]> = {
  'actor_token.create': ['{actor} was allowed to act as {user}', '{actor} may not act as {user}'],
  'actor_token.accept': ['{actor} started acting as {user}', '{actor} could not start acting as {user}'],
  'actor_token.revoke': ['The permission of {actor} to act as {user} was revoked', 'A permission was not revoked'],
  'session.revoke': ['The session of {actor} as {user} was ended', 'The session of {actor} as {user} was not ended'],
  'session.revoke_all': ['The kill switch was used', 'The kill switch was refused'],
  'session.end': ['{actor} stopped acting as {user}', '{actor} could not stop acting as {user}'],
  'session.remove': ['{actor} left the session as {user}', '{actor} could not leave the session as {user}'],
  'client.sign_out': ['{actor} stopped acting as {user}', '{actor} could not stop acting as {user}'],
  'ticket.accept': ['{actor} started acting as {user}', '{actor} could not start acting as {user}'],
  'sign_in_token.create': ['A sign-in token for {user} was created', 'A sign-in token for {user} was not created'],
  'sign_in_token.revoke': ['A sign-in token of {user} was revoked', 'A sign-in token was not revoked'],
  'jwt_template.create': ['A JWT template was created', 'A JWT template was not created'],
  'jwt_template.update': ['A JWT template was changed', 'A JWT template was not changed'],
  'jwt_template.delete': ['A JWT template was deleted', 'A JWT template was not deleted'],
  'team.put': ['A team was changed', 'A team was not changed'],
  'team.delete': ['A team was removed', 'A team was not removed'],
  'tag.put': ['A tag was changed', 'A tag was not changed'],
  'tag.delete': ['A tag was removed', 'A tag was not removed'],
  'session.expire': ['The session of {actor} as {user} expired', 'The session of {actor} as {user} did not expire'],
  'session.create': ['A session of {user} was started', 'A session of {user} was not started'],
  'session.mint': [
    'A session token for {actor} as {user} was issued',
    'A session token for {actor} as {user} was refused',
  ],
  'user.create': ['The user {user} was created', 'A user was not created'],
  'user.update': ['The user {user} was changed', 'The user {user} was not changed'],
  'user.update_metadata': ['The metadata of {user} was changed', 'The metadata of {user} was not changed'],
  'user.delete': ['The user {user} was deleted', 'The user {user} was not deleted'],
  'user.ban': ['{user} was banned', '{user} was not banned'],
  'user.unban': ['The ban of {user} was lifted', 'The ban of {user} was not lifted'],
  'user.lock': ['{user} was locked', '{user} was not locked'],
  'user.unlock': ['{user} was unlocked', '{user} was not unlocked'],
  'policy.change': ['The policy was changed', 'A change of the policy was refused'],
  'secret_key.create': ['A secret key was created', 'A secret key was not created'],
  'secret_key.revoke': ['A secret key was revoked', 'A secret key was not revoked'],
  'actor.put': ['The actor {actor} was registered', 'The actor {actor} was not registered'],
  'actor.delete': ['The actor {actor} was removed', 'The actor {actor} was not removed'],
  'signing_key.create': ['Signing keys were created', 'Signing keys were not created'],
  'signing_key.rotate': ['The signing keys were rotated', 'The signing keys were not rotated'],
  'signing_key.remove': ['A signing key was removed', 'A signing key was not removed'],
  'operator.sign_in': ['{actor} signed in to the console', 'An operator could not sign in'],
  'operator.sign_out': ['An operator signed out', 'An operator could not sign out'],
  'operator.step_up': ['An operator confirmed who they are', 'An operator could not confirm who they are'],
  'operator.invite': ['An operator was invited', 'An operator was not invited'],
  'operator.disable': ['An operator was disabled', 'An operator was not disabled'],
  'operator.enable': ['An operator was enabled', 'An operator was not enabled'],
  'console.search': ['{actor} searched for a person', '{actor} could not search'],
  'console.reveal': ['{actor} looked at personal data of {user}', '{actor} could not look at personal data'],
}

/** Returns what an event says, as text with `{actor}` and `{user}` in it. */
export function sentenceOf({ action, outcome }: Pick<AuditEvent, 'action' | 'outcome'>): string {
  const known = actions[action]
  if (known) return outcome === 'done' ? known[0] : known[1]
  const words = action.replaceAll(/[._]/g, ' ')
  return outcome === 'done' ? words.charAt(0).toUpperCase() + words.slice(1) : `Refused: ${words}`
}

/** The names of all known actions, for the filter. */
export const actionNames = Object.keys(actions)

/** How soon after the click a session ended. Followers do not confirm it, so do not write “confirmed”. */
export function endedAfter(seconds: number, followers: number | undefined): string {
  const sent = followers ? `, sent to ${count(followers, 'follower')}` : ''
  return `Ended ${seconds.toFixed(1)} s after the click${sent}`
}

/** What a policy asks for, as a button says it. */
export function needText(need: string): string {
  const [name = '', value = ''] = need.split(/:(.*)/s)
  if (name === 'duration') return `Shorten to ${minutes(Number(value))}`
  if (name === 'reason') return 'Write a reason'
  if (name === 'ticket') return 'Add a ticket'
  if (name === 'category') return `Choose “${categoryName(value)}”`
  if (name === 'read') return access.read
  if (name === 'login') return 'Sign in again'
  return value === '' ? name : `${name}: ${value}`
}

/** Returns a duration in seconds as words: “15 minutes”. */
export function minutes(seconds: number): string {
  const [value, unit] =
    seconds % 3_600 === 0 && seconds >= 3_600
      ? [seconds / 3_600, 'hour']
      : seconds >= 60
        ? [Math.floor(seconds / 60), 'minute']
        : [seconds, 'second']
  return `${value} ${unit}${value === 1 ? '' : 's'}`
}

/** `count(3, 'session')` is “3 sessions”. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`
}
