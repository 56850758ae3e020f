// Copies every user of a Clerk instance to Stagedoor, with the Clerk id as external id. Users that exist already stay
// unchanged, so you can run it repeatedly until the day of the move.
import { Stagedoor } from '@stagedoor/sdk'

const { CLERK_SECRET_KEY, CLERK_API_URL = 'https://api.clerk.com' } = process.env
const clerk = new Stagedoor({ secretKey: CLERK_SECRET_KEY, serverURL: CLERK_API_URL })
const stagedoor = new Stagedoor() // STAGEDOOR_SERVER_URL, STAGEDOOR_SECRET_KEY

const result = { moved: 0, failed: 0 }
for await (const user of clerk.users.list({ orderBy: '+created_at', limit: 500 })) {
  try {
    await stagedoor.users.findOrCreate(copyOf(user))
    result.moved += 1
  } catch (error) {
    result.failed += 1
    console.error(`${user.id}: ${error.message}`)
  }
  if ((result.moved + result.failed) % 1_000 === 0) console.error(`${result.moved} moved, ${result.failed} failed`)
}
console.log(JSON.stringify(result))
process.exitCode = result.failed > 0 ? 1 : 0

/** Returns the fields that support needs to find a user. Leaves out unverified addresses, which may not be the user's. */
function copyOf(user) {
  const primaryFirst = (one, other) =>
    Number(other.id === user.primaryEmailAddressId) - Number(one.id === user.primaryEmailAddressId)
  const verified = user.emailAddresses.filter(({ verification }) => verification?.status === 'verified')
  return {
    externalId: user.id,
    username: user.username ?? undefined,
    firstName: user.firstName ?? undefined,
    lastName: user.lastName ?? undefined,
    emailAddress: verified.sort(primaryFirst).map(({ emailAddress }) => emailAddress),
    publicMetadata: user.publicMetadata,
    privateMetadata: { ...user.privateMetadata, ...(user.externalId && { external_id: user.externalId }) },
  }
}
