/** A text field with line numbers, and marks at the lines that have problems. */
import { useRef } from 'react'

interface Mark {
  line: number | null
  message: string
  tone: 'stop' | 'acting'
}

interface EditorProps {
  label: string
  value: string
  onChange(text: string): void
  readOnly?: boolean
  marks?: readonly Mark[]
}

export function Editor({ label, value, onChange, readOnly, marks = [] }: EditorProps) {
  const numbers = useRef<HTMLOListElement>(null)
  const lines = Math.max(16, value.split('\n').length)
  const byLine = Map.groupBy(marks, mark => mark.line)
  return (
    <div className="editor">
      <ol ref={numbers} className="editor-lines" aria-hidden="true">
        {Array.from({ length: lines }, (_, index) => {
          const [mark] = byLine.get(index + 1) ?? []
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: a line is its number
            <li key={index} className={mark?.tone ?? ''} title={mark?.message}>
              {index + 1}
            </li>
          )
        })}
      </ol>
      <textarea
        className="editor-text"
        aria-label={label}
        aria-invalid={marks.some(({ tone }) => tone === 'stop') || undefined}
        spellCheck={false}
        autoCapitalize="off"
        wrap="off"
        rows={lines}
        readOnly={readOnly}
        value={value}
        onChange={event => onChange(event.target.value)}
        onScroll={event => {
          if (numbers.current) numbers.current.scrollTop = event.currentTarget.scrollTop
        }}
      />
    </div>
  )
}
