/** The used part of Next.js, which is installed only in apps. */
declare module 'next/headers.js' {
  export function headers(): Promise<Headers>
}
