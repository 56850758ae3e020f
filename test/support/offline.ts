/** Load before an app (`node --import`): blocks and reports every request to another machine. */
const { fetch } = globalThis

globalThis.fetch = async (input, init) => {
  const { origin, pathname, hostname } = new URL(input instanceof Request ? input.url : input)
  if (hostname === '127.0.0.1' || hostname === 'localhost') return fetch(input, init)
  console.error(`blocked by the test: ${origin}${pathname}`)
  throw new TypeError(`blocked by the test: ${origin}`)
}
