/**
 * Converts between the wire's snake_case and the public camelCase. Only Stagedoor's names are converted. Data of the caller
 * (the actor, metadata, claims, the members of a key) stays unchanged.
 */

/** Members whose values are not converted, by their wire names. */
const OPAQUE = new Set(['actor', 'public_metadata', 'private_metadata', 'unsafe_metadata', 'claims', 'keys'])

export function camelOf(value: unknown): unknown {
  return convert(value, key => [key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()), key])
}

export function snakeOf(value: unknown): unknown {
  return convert(value, key => {
    const snake = key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
    return [snake, snake]
  })
}

function convert(value: unknown, names: (key: string) => [converted: string, wire: string]): unknown {
  if (Array.isArray(value)) return value.map(item => convert(item, names))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => {
      const [converted, wire] = names(key)
      return [converted, OPAQUE.has(wire) ? member : convert(member, names)]
    }),
  )
}
