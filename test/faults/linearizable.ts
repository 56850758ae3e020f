/**
 * Checks whether a history is linearizable: the search of Wing and Gong ("Testing and verifying concurrent objects", 1993)
 * with Lowe's cache of visited states ("Testing for linearizability", 2017). Independent parts of a history are checked
 * separately (a history is linearizable if each of its objects is), so that each search is short.
 */

/** One client's request and its answer. */
export interface Operation<I, O> {
  client: number
  input: I
  /** Undefined if unknown: the connection broke. The operation may have taken effect at any time after its call, or never. */
  output: O | undefined
  /** The time before it was sent, and after its answer arrived, from one monotonic clock. */
  call: number
  /** Infinity without an answer. */
  return: number
}

/** The sequential behaviour of one object. */
export interface Model<S, I, O> {
  start: S
  /** The state after an operation; undefined if this answer is impossible in this state. */
  step(state: S, input: I, output: O | undefined): S | undefined
  /** Whether it is a read: it never changes the state. */
  looks(input: I): boolean
}

/**
 * @returns undefined if some order explains every answer, respects real time and obeys the
 *   model; otherwise as many of the operations as could be ordered, and those that could not come next
 */
export function violation<S, I, O>(
  model: Model<S, I, O>,
  history: readonly Operation<I, O>[],
): { explained: Operation<I, O>[]; stuck: Operation<I, O>[] } | undefined {
  // A read without an answer explains nothing.
  const operations = history
    .filter(each => each.output !== undefined || !model.looks(each.input))
    .sort((a, b) => a.call - b.call)
  const answered = operations.filter(each => each.output !== undefined).length
  const done = new Set<Operation<I, O>>()
  const tried = new Set<string>()
  let furthest: Operation<I, O>[] = []

  const search = (state: S, left: number): boolean => {
    if (left === 0) return true
    const known = JSON.stringify(state)
    const situation = `${operations.map(each => (done.has(each) ? 1 : 0)).join('')} ${known}`
    if (tried.has(situation)) return false
    tried.add(situation)
    if (done.size > furthest.length) furthest = [...done]
    for (const next of nextOf(operations, done)) {
      const after = model.step(state, next.input, next.output)
      if (after === undefined) continue
      // An operation with an unknown outcome that changes nothing here may take effect later, or never.
      if (next.output === undefined && JSON.stringify(after) === known) continue
      done.add(next)
      if (search(after, next.output === undefined ? left : left - 1)) return true
      done.delete(next)
      // If any order explains the rest, so does one with this read first.
      if (model.looks(next.input)) return false
    }
    return false
  }
  if (search(model.start, answered)) return undefined
  return { explained: furthest, stuck: nextOf(operations, new Set(furthest)) }
}

/** Returns the operations that may come next: those called before the first of the others returned. */
function nextOf<I, O>(operations: Operation<I, O>[], done: Set<Operation<I, O>>): Operation<I, O>[] {
  const waiting = operations.filter(each => !done.has(each))
  const firstAnswer = Math.min(...waiting.map(each => each.return))
  return waiting.filter(each => each.call <= firstAnswer)
}
