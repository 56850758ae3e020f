import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { ListQueue } from '../src/http/edge/list-queue.ts'

describe('the queue of lists', () => {
  it('runs at most as many at a time as it may, in their order, and each of them once', async () => {
    for (const maximum of [1, 3]) {
      const queue = new ListQueue(maximum)
      let running = 0
      let most = 0
      const order: number[] = []
      const work = (i: number) =>
        queue.run(async () => {
          most = Math.max(most, ++running)
          order.push(i)
          // Some take longer than others, so their pauses differ.
          await wait(i % 4 === 0 ? 10 : 1)
          running--
          return i
        })
      const all = Array.from({ length: 20 }, (_, i) => work(i))
      assert.deepEqual(await Promise.all(all), order)
      assert.equal(most, maximum)
    }
  })

  it('continues after a list that failed', async () => {
    const queue = new ListQueue(1)
    const failing = queue.run(() => Promise.reject(new Error('failed')))
    const next = queue.run(async () => 'read')
    await assert.rejects(failing, /failed/)
    assert.equal(await next, 'read')
    assert.equal(await queue.run(async () => 'again'), 'again')
  })

  it('pauses between two lists for as long as the first one took', async () => {
    const queue = new ListQueue(1)
    const times: number[] = []
    const block = () =>
      queue.run(async () => {
        times.push(performance.now())
        while (performance.now() - (times.at(-1) ?? 0) < 10);
        times.push(performance.now())
      })
    await Promise.all([block(), block(), block()])
    // Timers are accurate to a millisecond.
    for (const [end, begin] of [
      [times[1], times[2]],
      [times[3], times[4]],
    ])
      assert.ok((begin ?? 0) - (end ?? 0) >= 8, times.join(' '))
  })
})
