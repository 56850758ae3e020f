import type { Stagedoor as Client } from '@stagedoor/sdk'
import { UsageError } from './output.ts'

/**
 * Finds a user by id, e-mail address, external id or username, and returns the user's id.
 * @throws UsageError if there is no such user
 */
export async function userIdOf(client: Client, text: string): Promise<string> {
  if (/^user_\w+$/.test(text)) return text
  const queries = text.includes('@') ? ['emailAddress', 'externalId'] : ['externalId', 'username']
  for (const name of queries) {
    const { data } = await client.users.list({ [name]: [text], limit: 1 })
    if (data[0]) return data[0].id
  }
  throw new UsageError(
    `No user has the id, e-mail address, external id or username “${text}”. \`stagedoor users list --query\` searches.`,
  )
}

/** The same for an option that may be missing. */
export async function userOption(client: Client, text: string | undefined): Promise<string | undefined> {
  return text === undefined ? undefined : userIdOf(client, text)
}
