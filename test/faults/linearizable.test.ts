import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Asked, mintedTooLate, type Said, type TicketOperation, ticketModel } from './history.ts'
import { type Model, type Operation, violation } from './linearizable.ts'

/** One operation per line: `client call return`, the request, the answer; `?` if the outcome is unknown. */
function history(...lines: [string, Asked, string][]): TicketOperation[] {
  return lines.map(([when, input, said]) => {
    const [client = 0, call = 0, back = 0] = when.split(' ').map(Number)
    const [code = '', session] = said.split(' ')
    const output: Said | undefined = said === '?' ? undefined : { code, ...(session ? { session } : {}) }
    return { client, input, output, call, return: output ? back : Number.POSITIVE_INFINITY, at: back }
  })
}

const redeem = (browser: number): Asked => ({ do: 'redeem', browser })
const mint: Asked = { do: 'mint', session: 's', by: 'key' }
const revokeActorToken: Asked = { do: 'revoke ticket' }
const revokeSession: Asked = { do: 'revoke session' }
const used = 'actor_token_already_used_code'
const revoked = 'actor_token_revoked_code'

const right: Record<string, TicketOperation[]> = {
  'one redeems, the other gets `already used`': history(['1 0 5', redeem(1), 'done s'], ['2 1 4', redeem(2), used]),
  'the later of two concurrent requests wins': history(['1 0 9', redeem(1), used], ['2 8 12', redeem(2), 'done s']),
  'the same browser repeats the request': history(
    ['1 0 1', redeem(1), '?'],
    ['1 2 3', redeem(1), 'done s'],
    ['2 4 5', redeem(2), used],
    ['1 6 7', redeem(1), 'done s'],
  ),
  'redeemed while it was being revoked': history(
    ['1 0 9', redeem(1), 'done s'],
    ['2 1 8', revokeActorToken, 'actor_token_cannot_be_revoked_code'],
  ),
  'a lost revocation takes effect much later': history(
    ['1 0 1', revokeActorToken, '?'],
    ['2 2 3', redeem(2), 'done s'],
    ['2 4 5', mint, 'done'],
  ),
  'a lost redemption explains a later refusal': history(['1 0 1', redeem(1), '?'], ['2 2 3', redeem(2), used]),
  'a lost redemption never happened': history(['1 0 1', redeem(1), '?'], ['2 2 3', revokeActorToken, 'done']),
  'a mint in progress when the session is revoked': history(
    ['1 0 1', redeem(1), 'done s'],
    ['1 2 9', mint, 'done'],
    ['2 3 4', revokeSession, 'done'],
    ['1 10 11', mint, 'authentication_invalid'],
  ),
  'a ban ends everything': history(
    ['1 0 1', redeem(1), 'done s'],
    ['2 2 3', { do: 'ban' }, 'done'],
    ['1 4 5', mint, 'authentication_invalid'],
    ['1 6 7', redeem(1), used],
  ),
  'banned before it was redeemed': history(['2 0 1', { do: 'ban' }, 'done'], ['1 2 3', redeem(1), revoked]),
}

const wrong: Record<string, TicketOperation[]> = {
  'redeemed twice at the same time': history(['1 0 5', redeem(1), 'done s'], ['2 1 4', redeem(2), 'done t']),
  'redeemed twice, one after the other': history(['1 0 1', redeem(1), 'done s'], ['2 2 3', redeem(2), 'done t']),
  'redeemed by another, with the same session': history(['1 0 1', redeem(1), 'done s'], ['2 2 3', redeem(2), 'done s']),
  'another session when the browser repeats the request': history(
    ['1 0 1', redeem(1), 'done s'],
    ['1 2 3', redeem(1), 'done t'],
  ),
  'a redemption that was answered is lost': history(
    ['1 0 1', redeem(1), 'done s'],
    ['2 2 3', revokeActorToken, 'done'],
  ),
  'redeemed after the revocation was answered': history(
    ['2 0 1', revokeActorToken, 'done'],
    ['1 2 3', redeem(1), 'done s'],
  ),
  'minted after the revocation was answered': history(
    ['1 0 1', redeem(1), 'done s'],
    ['2 2 3', revokeSession, 'done'],
    ['1 4 5', mint, 'done'],
  ),
  'minted after the ban was answered': history(
    ['1 0 1', redeem(1), 'done s'],
    ['2 2 3', { do: 'ban' }, 'done'],
    ['1 4 5', mint, 'done'],
  ),
  'refused, then minted again': history(
    ['1 0 1', redeem(1), 'done s'],
    ['2 2 30', revokeSession, 'done'],
    ['1 4 5', mint, 'authentication_invalid'],
    ['1 6 7', mint, 'done'],
  ),
  'a mint that is refused for no reason': history(
    ['1 0 1', redeem(1), 'done s'],
    ['1 4 5', mint, 'authentication_invalid'],
  ),
  'reported as used before it was redeemed': history(['1 0 1', redeem(1), used], ['2 2 3', redeem(2), 'done s']),
  'a lost redemption that took effect before it was requested': history(
    ['2 0 1', redeem(2), used],
    ['1 2 3', redeem(1), '?'],
  ),
  'redeemed although the user was banned before': history(
    ['2 0 1', { do: 'ban' }, 'done'],
    ['1 2 3', redeem(1), 'done s'],
  ),
}

describe('the checker of histories', () => {
  for (const [what, operations] of Object.entries(right)) {
    it(`accepts: ${what}`, () => assert.equal(violation(ticketModel, operations), undefined))
  }
  for (const [what, operations] of Object.entries(wrong)) {
    it(`rejects: ${what}`, () => assert.ok(violation(ticketModel, operations)))
  }

  it('agrees with a brute-force search on histories of a register of every kind', () => {
    const register: Model<number, 'read' | number, number> = {
      start: 0,
      looks: input => input === 'read',
      step: (state, input, output) =>
        input === 'read' ? (output === undefined || output === state ? state : undefined) : input,
    }
    let seed = 1
    const draw = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed % below
    }
    const found = { linearizable: 0, not: 0 }
    for (let round = 0; round < 3_000; round++) {
      const operations = Array.from({ length: 1 + draw(5) }, (_, client): Operation<'read' | number, number> => {
        const call = draw(8)
        const lost = draw(6) === 0
        const input = draw(2) === 0 ? 'read' : draw(3)
        const output = lost ? undefined : input === 'read' ? draw(3) : 0
        return { client, input, output, call, return: lost ? Number.POSITIVE_INFINITY : call + draw(5) }
      })
      const expected = someOrder(register, operations)
      found[expected ? 'linearizable' : 'not']++
      assert.equal(violation(register, operations) === undefined, expected, JSON.stringify(operations))
    }
    assert.ok(found.linearizable > 500 && found.not > 500, JSON.stringify(found))
  })

  it('checks a long history of one ticket quickly', () => {
    const operations = history(
      ['0 0 1', redeem(1), 'done s'],
      ...Array.from({ length: 200 }, (_, i): [string, Asked, string] => [`${i % 8} ${i + 2} ${i + 9}`, mint, 'done']),
      ...Array.from({ length: 8 }, (_, i): [string, Asked, string] => [`${i} ${i + 2} 0`, redeem(2), '?']),
    )
    assert.equal(violation(ticketModel, operations), undefined)
    operations.push(...history(['9 300 301', redeem(3), 'done t']))
    assert.ok(violation(ticketModel, operations))
  })

  it('S4 detects a token dated after the end was answered, even in a linearizable history', () => {
    const operations = history(
      ['1 0 1', redeem(1), 'done s'],
      ['1 2 9000', mint, 'done'],
      ['2 3 4', revokeSession, 'done'],
    )
    assert.equal(violation(ticketModel, operations), undefined)
    const [, minted] = operations
    assert.ok(minted)
    minted.iat = 0
    assert.deepEqual(mintedTooLate(operations), [])
    minted.iat = 1_000
    assert.deepEqual(mintedTooLate(operations), [minted])
  })
})

/** By the definition: any subset of the lost operations, in any order that respects real time. */
function someOrder<S, I, O>(model: Model<S, I, O>, operations: Operation<I, O>[]): boolean {
  const orders = (chosen: Operation<I, O>[], rest: Operation<I, O>[]): boolean => {
    if (rest.every(each => each.output === undefined) && follows(model, chosen)) return true
    return rest.some(each =>
      orders(
        [...chosen, each],
        rest.filter(other => other !== each),
      ),
    )
  }
  return orders([], operations)
}

function follows<S, I, O>(model: Model<S, I, O>, order: Operation<I, O>[]): boolean {
  const inTime = order.every((each, i) => order.slice(i + 1).every(later => later.return >= each.call))
  let state: S | undefined = model.start
  for (const { input, output } of order) state = state === undefined ? undefined : model.step(state, input, output)
  return inTime && state !== undefined
}
