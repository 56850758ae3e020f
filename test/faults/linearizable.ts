/**
 * Whether a history is linearizable: the search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with
 * Lowe's memory of what was tried ("Testing for linearizability", 2017). Histories are checked in parts that have nothing
 * to do with each other (a history is linearizable if each of its objects is), so that each search is short.
 */

/** What one client asked and was answered. */
export interface Operation<I, O> {
  client: number
  input: I
  /** Undefined: nobody knows. The connection broke, and it may have taken effect since it was asked, or never will. */
  output: O | undefined
  /** Before it was sent, and after its answer was there: by one clock that never goes back. */
  call: number
  /** Infinity if there was no answer. */
  return: number
}

/** How one object behaves that is asked one thing after another. */
export interface Model<S, I, O> {
  start: S
  /** The state after an operation; undefined if it could not have been answered like that in this state. */
  step(state: S, input: I, output: O | undefined): S | undefined
  /** Whether it only looks: it never changes the state, whatever that is. */
  looks(input: I): boolean
}

/**
 * @returns undefined if some order explains every answer, keeps what happened one after another in that order, and obeys
 *   the model; otherwise as many of the operations as could be put in order, and those that could not come next
 */
export function violation<S, I, O>(
  model: Model<S, I, O>,
  history: readonly Operation<I, O>[],
): { explained: Operation<I, O>[]; stuck: Operation<I, O>[] } | undefined {
  // To have looked and never been answered explains nothing.
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
      // What nobody was told of, and what changes nothing here, may come later, or never.
      if (next.output === undefined && JSON.stringify(after) === known) continue
      done.add(next)
      if (search(after, next.output === undefined ? left : left - 1)) return true
      done.delete(next)
      // If any order explains the rest, then one that looks at once does too.
      if (model.looks(next.input)) return false
    }
    return false
  }
  if (search(model.start, answered)) return undefined
  return { explained: furthest, stuck: nextOf(operations, new Set(furthest)) }
}

/** What may come next: all that was asked before the first of the others was answered. */
function nextOf<I, O>(operations: Operation<I, O>[], done: Set<Operation<I, O>>): Operation<I, O>[] {
  const waiting = operations.filter(each => !done.has(each))
  const firstAnswer = Math.min(...waiting.map(each => each.return))
  return waiting.filter(each => each.call <= firstAnswer)
}
