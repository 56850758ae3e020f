export const metadata = { title: 'Who is behind a request', icons: 'data:,' }
// Light or dark, following the browser's setting.
export const viewport = { colorScheme: 'light dark' }

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  )
}
