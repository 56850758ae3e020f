/** Loaded before an app (`node --import`): nothing of a test leaves the machine, and what tries to is told. */
const { fetch } = globalThis

globalThis.fetch = async (input, init) => {
  const { origin, pathname, hostname } = new URL(input instanceof Request ? input.url : input)
  if (hostname === '127.0.0.1' || hostname === 'localhost') return fetch(input, init)
  console.error(`not let out: ${origin}${pathname}`)
  throw new TypeError(`not let out: ${origin}`)
}
