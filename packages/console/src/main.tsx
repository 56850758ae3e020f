/** Starts the console. */
import './styles/index.css'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError } from './api.ts'
import { applySettings } from './keys.ts'
import { createConsoleRouter } from './router.tsx'

applySettings()

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // Another try helps when the server restarts, not when it says no.
      retry: (failures, error) =>
        failures < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 500),
      retryDelay: failures => 300 * 2 ** failures,
      refetchOnWindowFocus: false,
      staleTime: 5_000,
      networkMode: 'always',
    },
    mutations: { networkMode: 'always' },
  },
})

// A page from the back/forward cache could show data of a session that has ended.
addEventListener('pageshow', event => event.persisted && location.reload())

const place = document.getElementById('console')
if (place)
  // A screen that catches an error shows it; the browser’s console need not have it too.
  createRoot(place, { onCaughtError: () => {} }).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <RouterProvider router={createConsoleRouter(client)} />
      </QueryClientProvider>
    </StrictMode>,
  )
