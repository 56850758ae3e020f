/** Personal data that the server masks for this operator, and the button that asks for it. */
import { useMutation } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { api } from '../api.ts'
import { useSession } from '../session.tsx'
import { reveal as text } from '../text/en.ts'
import { Button } from './controls.tsx'
import { Wrong } from './states.tsx'

export interface Revealed<T> {
  /** The object: masked, or whole after the server has recorded that this operator asked for it. */
  shown: T
  isMasked: boolean
  isBusy: boolean
  wasAsked: boolean
  error: unknown
  show(): void
}

/** Keeps what was shown only as long as the component: another visit asks again. @param path of the read of the object */
export function useRevealed<T>(path: string, object: T): Revealed<T> {
  const { me } = useSession()
  const { data, error, isPending, mutate } = useMutation({ mutationFn: () => api.get<T>(path, { reveal: true }) })
  return {
    shown: data ?? object,
    isMasked: me.personal_data === 'masked' && data === undefined,
    isBusy: isPending,
    wasAsked: data !== undefined,
    error,
    show: () => mutate(),
  }
}

/** The button, and after it what was recorded, which gets the focus that the button had. */
export function Reveal<T>({ of, label }: { of: Revealed<T>; label: string }) {
  const done = useRef<HTMLSpanElement>(null)
  useEffect(() => {
    if (of.wasAsked) done.current?.focus()
  }, [of.wasAsked])
  if (of.wasAsked)
    return (
      <span ref={done} className="meta" role="status" tabIndex={-1}>
        {text.recorded}
      </span>
    )
  if (!of.isMasked) return null
  return (
    <>
      <Button icon="eye" aria-label={label} busy={of.isBusy} disabled={of.isBusy} onClick={of.show}>
        {text.show}
      </Button>
      <Wrong error={of.error} />
    </>
  )
}
