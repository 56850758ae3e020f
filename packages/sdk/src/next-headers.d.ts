/** What is taken from Next.js; it is installed in apps only. */
declare module 'next/headers.js' {
  export function headers(): Promise<Headers>
}
