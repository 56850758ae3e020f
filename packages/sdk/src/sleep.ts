/** Waits for a time in ms, or until the signal aborts. Never throws. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const over = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', over)
      resolve()
    }
    const timer = setTimeout(over, ms)
    if (signal?.aborted) over()
    else signal?.addEventListener('abort', over)
  })
}
