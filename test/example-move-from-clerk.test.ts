import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startStagedoor } from '@stagedoor/sdk/testing'
import { runNode } from './support/processes.ts'

const script = fileURLToPath(new URL('../examples/move-from-clerk/move.js', import.meta.url))

/** The tests cannot reach Clerk: another Stagedoor answers in its place, with the same API. */
test('examples/move-from-clerk copies every user once, even if it is run again', async () => {
  await using clerk = await startStagedoor()
  await using target = await startStagedoor()
  const env = {
    CLERK_SECRET_KEY: clerk.secretKey,
    CLERK_API_URL: clerk.url,
    STAGEDOOR_SERVER_URL: target.url,
    STAGEDOOR_SECRET_KEY: target.secretKey,
  }
  for (let index = 0; index < 7; index++) {
    await clerk.stagedoor.users.create({
      externalId: `theirs-${index}`,
      firstName: `User ${index}`,
      emailAddress: [`user${index}@example.com`, `second${index}@example.com`],
      publicMetadata: { plan: 'pro', nested: { snake_case: 1 } },
      privateMetadata: { note: index },
    })
  }
  const [first] = (await clerk.stagedoor.users.list({ orderBy: '+created_at' })).data
  assert.ok(first)
  // One that cannot be moved: its address is taken.
  await target.stagedoor.users.create({ emailAddress: ['user6@example.com'] })

  for (const _ of [1, 2]) {
    await assert.rejects(runNode([script], { env }), /"moved":6,"failed":1/)
    assert.equal(await target.stagedoor.users.count(), 7)
  }
  const [moved] = (await target.stagedoor.users.list({ externalId: [first.id] })).data
  assert.deepEqual(
    [
      moved?.firstName,
      moved?.emailAddresses.map(each => each.emailAddress),
      moved?.publicMetadata,
      moved?.privateMetadata,
    ],
    [
      'User 0',
      ['user0@example.com', 'second0@example.com'],
      first.publicMetadata,
      { note: 0, external_id: 'theirs-0' },
    ],
  )
  const { url } = await target.stagedoor.actorTokens.create({ userId: moved?.id as string, actor: { sub: 'olivia' } })
  assert.ok(url)
})
