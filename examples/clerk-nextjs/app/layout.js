import { ClerkProvider } from '@clerk/nextjs'

export const metadata = { title: 'Clerk’s SDK for Next.js', icons: 'data:,' }
// Light or dark, following the browser's setting.
export const viewport = { colorScheme: 'light dark' }

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <ClerkProvider>
          {/* The banner that says who is acting goes here, above everything else. */}
          {children}
        </ClerkProvider>
      </body>
    </html>
  )
}
