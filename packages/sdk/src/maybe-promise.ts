/** A value, or a promise of it. Cached values need no promise, which would cost time in every request. */
export type MaybePromise<T> = T | Promise<T>

export function isPending<T>(value: MaybePromise<T>): value is Promise<T> {
  // Not `instanceof`: Web Crypto may come from another realm, with another Promise.
  return typeof (value as Partial<Promise<T>> | null | undefined)?.then === 'function'
}

/** Calls `next` with a value: immediately, or when its promise is fulfilled. */
export function andThen<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return isPending(value) ? Promise.resolve(value).then(next) : next(value)
}
