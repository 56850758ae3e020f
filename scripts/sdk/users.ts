import type { Resource } from './resource.ts'

export const users: Resource = {
  name: 'Users',
  file: 'users',
  about: 'The users of your app, as whom actors can act.',
  id: 'user',
  methods: {
    CreateUser: {
      name: 'create',
      does: 'Creates a user. Stagedoor stores no passwords: your own login stays as it is.',
      request:
        'all optional: `external_id` (your own id of the user, unique), `email_address` and `phone_number` (lists), `username`, `first_name`, `last_name`, `public_metadata`, `private_metadata`, `unsafe_metadata`, …',
      examples: {
        typescript:
          "const user = await stagedoor.users.create({ externalId: 'customer-17', emailAddress: ['ada@example.com'] })",
        python: `
          >>> stagedoor.users.create(first_name="Ada", public_metadata={"plan": "pro"}).public_metadata
          {'plan': 'pro'}`,
      },
    },
    GetUser: {
      name: 'get',
      does: 'Reads a user.',
      examples: {
        typescript: "const { emailAddresses } = await stagedoor.users.get('user_29w83')",
        python: `
          >>> stagedoor.users.get(user.id).first_name
          'Carl'`,
      },
    },
    GetUserList: {
      name: 'list',
      does: {
        typescript:
          'Lists users, newest first by default (`order_by`): one page if awaited, every user with `for await`.',
        python: 'Lists users, newest first by default (`order_by`). Iterate over the page to get all users.',
      },
      filters:
        'lists of `user_id`, `email_address`, `phone_number`, `external_id`, `username`; `query`, part of an id, a name or an address; times in Unix milliseconds; `order_by` (`-created_at`)',
      examples: {
        typescript: `
          const { data: [user] } = await stagedoor.users.list({ externalId: ['customer-17'] })
          for await (const { id } of stagedoor.users.list({ banned: true })) console.log(id)`,
        python: `
          >>> [found.first_name for found in stagedoor.users.list(external_id=[user.external_id])]
          ['Carl']`,
      },
    },
    GetUsersCount: {
      name: 'count',
      does: 'Counts users.',
      filters: 'the filters of `list`',
      examples: {
        typescript: 'const banned = await stagedoor.users.count({ banned: true })',
        python: `
          >>> stagedoor.users.count(external_id=[user.external_id])
          1`,
      },
    },
    UpdateUser: {
      name: 'update',
      does: 'Changes a user. Omitted members keep their values; null clears a member.',
      request:
        'as for `create`, and `primary_email_address_id`, `primary_phone_number_id`. Metadata in this request replaces the stored metadata; `update_metadata` merges',
      examples: {
        typescript: "await stagedoor.users.update('user_29w83', { firstName: 'Ada', locale: null })",
        python: `
          >>> stagedoor.users.update(user.id, first_name="Ada", locale=None).first_name
          'Ada'`,
      },
    },
    UpdateUserMetadata: {
      name: 'update_metadata',
      does: "Merges into a user's metadata, deeply. A member that is null in the request is removed (RFC 7396).",
      request: '`public_metadata`, `private_metadata`, `unsafe_metadata`: JSON objects',
      examples: {
        typescript:
          "await stagedoor.users.updateMetadata('user_29w83', { publicMetadata: { plan: 'pro', trial_ends: null } })",
        python: `
          >>> changes = {"plan": "pro", "trial_ends": None}
          >>> stagedoor.users.update_metadata(user.id, public_metadata=changes).public_metadata
          {'plan': 'pro'}`,
      },
    },
    DeleteUser: {
      name: 'delete',
      does: "Deletes a user. Revokes the user's sessions and pending tokens, and those in which the user is the actor.",
      examples: {
        typescript: "await stagedoor.users.delete('user_29w83')",
        python: `
          >>> stagedoor.users.delete(user.id).deleted
          True`,
      },
    },
    BanUser: {
      name: 'ban',
      does: "Bans a user. Revokes the user's sessions and pending tokens, and those in which the user is the actor.",
      examples: {
        typescript: "await stagedoor.users.ban('user_29w83')",
        python: `
          >>> stagedoor.users.ban(user.id).banned
          True`,
      },
    },
    UnbanUser: {
      name: 'unban',
      does: 'Lifts a ban. What the ban revoked stays revoked.',
      examples: {
        typescript: "await stagedoor.users.unban('user_29w83')",
        python: `
          >>> stagedoor.users.unban(user.id).banned
          False`,
      },
    },
    LockUser: {
      name: 'lock',
      does: 'Locks a user: until `unlock`, no session can be started as the user and no session token is minted.',
      examples: {
        typescript: "await stagedoor.users.lock('user_29w83')",
        python: `
          >>> stagedoor.users.lock(user.id).locked
          True`,
      },
    },
    UnlockUser: {
      name: 'unlock',
      does: 'Unlocks a user. Sessions that have not ended since can be used again.',
      examples: {
        typescript: "await stagedoor.users.unlock('user_29w83')",
        python: `
          >>> stagedoor.users.unlock(user.id).locked
          False`,
      },
    },
  },
}
