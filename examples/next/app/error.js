'use client'

export default function Failed() {
  return <p role="alert">That was refused, or did not work.</p>
}
