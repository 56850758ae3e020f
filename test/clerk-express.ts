/** Settings of a server that examples/clerk-express needs. */
interface Place {
  serverURL: string
  secretKey: string
  publishableKey: string
  /** The port of the app. */
  port: number
}

/** Returns the settings of the example: its .env.example with the keys and the addresses filled in. */
export function settingsOf(
  sample: Record<string, string>,
  { serverURL, secretKey, publishableKey, port }: Place,
): Record<string, string> {
  const filled = Object.entries(sample).map(([name, value]) => [
    name,
    value.replace('http://127.0.0.1:4100', serverURL),
  ])
  return {
    ...Object.fromEntries(filled),
    CLERK_SECRET_KEY: secretKey,
    CLERK_PUBLISHABLE_KEY: publishableKey,
    PORT: `${port}`,
  }
}
